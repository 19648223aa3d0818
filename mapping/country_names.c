// country_names.c: the English names of countries, for senders that give no code: Recharge's older API, some address forms.
// Where a name is written in two ways both are here.
#include "mapping/normalise.h"

static const struct {
    const char *name, *code;
} names[] = {
    {"Andorra", "AD"}, {"United Arab Emirates", "AE"}, {"Afghanistan", "AF"}, {"Antigua and Barbuda", "AG"},
    {"Antigua & Barbuda", "AG"}, {"Anguilla", "AI"}, {"Albania", "AL"}, {"Armenia", "AM"}, {"Angola", "AO"},
    {"Antarctica", "AQ"}, {"Argentina", "AR"}, {"American Samoa", "AS"}, {"Austria", "AT"}, {"Österreich", "AT"},
    {"Australia", "AU"}, {"Aruba", "AW"}, {"Åland Islands", "AX"}, {"Aland Islands", "AX"}, {"Azerbaijan", "AZ"},
    {"Bosnia and Herzegovina", "BA"}, {"Bosnia & Herzegovina", "BA"}, {"Barbados", "BB"}, {"Bangladesh", "BD"},
    {"Belgium", "BE"}, {"Burkina Faso", "BF"}, {"Bulgaria", "BG"}, {"Bahrain", "BH"}, {"Burundi", "BI"}, {"Benin", "BJ"},
    {"Saint Barthélemy", "BL"}, {"Saint Barthelemy", "BL"}, {"Bermuda", "BM"}, {"Brunei Darussalam", "BN"}, {"Brunei", "BN"},
    {"Bolivia", "BO"}, {"Caribbean Netherlands", "BQ"}, {"Brazil", "BR"}, {"Bahamas", "BS"}, {"Bhutan", "BT"},
    {"Bouvet Island", "BV"}, {"Botswana", "BW"}, {"Belarus", "BY"}, {"Belize", "BZ"}, {"Canada", "CA"},
    {"Congo - Kinshasa", "CD"}, {"Central African Republic", "CF"}, {"Congo", "CG"}, {"Congo - Brazzaville", "CG"},
    {"Switzerland", "CH"}, {"Schweiz", "CH"}, {"Suisse", "CH"}, {"Côte d'Ivoire", "CI"}, {"Cote d'Ivoire", "CI"},
    {"Cook Islands", "CK"}, {"Chile", "CL"}, {"Cameroon", "CM"}, {"China", "CN"}, {"Colombia", "CO"}, {"Costa Rica", "CR"},
    {"Cuba", "CU"}, {"Cabo Verde", "CV"}, {"Cape Verde", "CV"}, {"Curaçao", "CW"}, {"Curacao", "CW"},
    {"Christmas Island", "CX"}, {"Cyprus", "CY"}, {"Czechia", "CZ"}, {"Czech Republic", "CZ"}, {"Germany", "DE"},
    {"Deutschland", "DE"}, {"Djibouti", "DJ"}, {"Denmark", "DK"}, {"Dominica", "DM"}, {"Dominican Republic", "DO"},
    {"Algeria", "DZ"}, {"Ecuador", "EC"}, {"Estonia", "EE"}, {"Egypt", "EG"}, {"Western Sahara", "EH"}, {"Eritrea", "ER"},
    {"Spain", "ES"}, {"Ethiopia", "ET"}, {"Finland", "FI"}, {"Fiji", "FJ"}, {"Falkland Islands", "FK"}, {"Micronesia", "FM"},
    {"Faroe Islands", "FO"}, {"France", "FR"}, {"Gabon", "GA"}, {"United Kingdom", "GB"}, {"Great Britain", "GB"},
    {"Grenada", "GD"}, {"Georgia", "GE"}, {"French Guiana", "GF"}, {"Guernsey", "GG"}, {"Ghana", "GH"}, {"Gibraltar", "GI"},
    {"Greenland", "GL"}, {"Gambia", "GM"}, {"Guinea", "GN"}, {"Guadeloupe", "GP"}, {"Equatorial Guinea", "GQ"},
    {"Greece", "GR"}, {"South Georgia and the South Sandwich Islands", "GS"}, {"South Georgia & South Sandwich Islands", "GS"},
    {"Guatemala", "GT"}, {"Guam", "GU"}, {"Guinea-Bissau", "GW"}, {"Guyana", "GY"}, {"Hong Kong", "HK"},
    {"Hong Kong SAR", "HK"}, {"Heard Island and McDonald Islands", "HM"}, {"Heard & McDonald Islands", "HM"},
    {"Honduras", "HN"}, {"Croatia", "HR"}, {"Haiti", "HT"}, {"Hungary", "HU"}, {"Indonesia", "ID"}, {"Ireland", "IE"},
    {"Israel", "IL"}, {"Isle of Man", "IM"}, {"India", "IN"}, {"British Indian Ocean Territory", "IO"}, {"Iraq", "IQ"},
    {"Iran", "IR"}, {"Iceland", "IS"}, {"Italy", "IT"}, {"Jersey", "JE"}, {"Jamaica", "JM"}, {"Jordan", "JO"}, {"Japan", "JP"},
    {"Kenya", "KE"}, {"Kyrgyzstan", "KG"}, {"Cambodia", "KH"}, {"Kiribati", "KI"}, {"Comoros", "KM"},
    {"Saint Kitts and Nevis", "KN"}, {"St. Kitts & Nevis", "KN"}, {"North Korea", "KP"}, {"South Korea", "KR"},
    {"Kuwait", "KW"}, {"Cayman Islands", "KY"}, {"Kazakhstan", "KZ"}, {"Laos", "LA"}, {"Lebanon", "LB"}, {"Saint Lucia", "LC"},
    {"St. Lucia", "LC"}, {"Liechtenstein", "LI"}, {"Sri Lanka", "LK"}, {"Liberia", "LR"}, {"Lesotho", "LS"},
    {"Lithuania", "LT"}, {"Luxembourg", "LU"}, {"Latvia", "LV"}, {"Libya", "LY"}, {"Morocco", "MA"}, {"Monaco", "MC"},
    {"Moldova", "MD"}, {"Montenegro", "ME"}, {"St. Martin", "MF"}, {"Saint Martin", "MF"}, {"Madagascar", "MG"},
    {"Marshall Islands", "MH"}, {"North Macedonia", "MK"}, {"Macedonia", "MK"}, {"Mali", "ML"}, {"Myanmar", "MM"},
    {"Myanmar (Burma)", "MM"}, {"Mongolia", "MN"}, {"Macao", "MO"}, {"Macao SAR", "MO"}, {"Northern Mariana Islands", "MP"},
    {"Martinique", "MQ"}, {"Mauritania", "MR"}, {"Montserrat", "MS"}, {"Malta", "MT"}, {"Mauritius", "MU"}, {"Maldives", "MV"},
    {"Malawi", "MW"}, {"Mexico", "MX"}, {"Malaysia", "MY"}, {"Mozambique", "MZ"}, {"Namibia", "NA"}, {"New Caledonia", "NC"},
    {"Niger", "NE"}, {"Norfolk Island", "NF"}, {"Nigeria", "NG"}, {"Nicaragua", "NI"}, {"Netherlands", "NL"},
    {"The Netherlands", "NL"}, {"Norway", "NO"}, {"Nepal", "NP"}, {"Nauru", "NR"}, {"Niue", "NU"}, {"New Zealand", "NZ"},
    {"Oman", "OM"}, {"Panama", "PA"}, {"Peru", "PE"}, {"French Polynesia", "PF"}, {"Papua New Guinea", "PG"},
    {"Philippines", "PH"}, {"Pakistan", "PK"}, {"Poland", "PL"}, {"Saint Pierre and Miquelon", "PM"},
    {"St. Pierre & Miquelon", "PM"}, {"Pitcairn", "PN"}, {"Puerto Rico", "PR"}, {"Palestinian Territories", "PS"},
    {"Portugal", "PT"}, {"Palau", "PW"}, {"Paraguay", "PY"}, {"Qatar", "QA"}, {"Réunion", "RE"}, {"Reunion", "RE"},
    {"Romania", "RO"}, {"Serbia", "RS"}, {"Russian Federation", "RU"}, {"Russia", "RU"}, {"Rwanda", "RW"},
    {"Saudi Arabia", "SA"}, {"Solomon Islands", "SB"}, {"Seychelles", "SC"}, {"Sudan", "SD"}, {"Sweden", "SE"},
    {"Singapore", "SG"}, {"St. Helena", "SH"}, {"Slovenia", "SI"}, {"Svalbard and Jan Mayen", "SJ"},
    {"Svalbard & Jan Mayen", "SJ"}, {"Slovakia", "SK"}, {"Sierra Leone", "SL"}, {"San Marino", "SM"}, {"Senegal", "SN"},
    {"Somalia", "SO"}, {"Suriname", "SR"}, {"South Sudan", "SS"}, {"Sao Tome and Principe", "ST"},
    {"Sao Tome & Principe", "ST"}, {"El Salvador", "SV"}, {"Sint Maarten", "SX"}, {"Syria", "SY"}, {"Eswatini", "SZ"},
    {"Swaziland", "SZ"}, {"Turks and Caicos Islands", "TC"}, {"Turks & Caicos Islands", "TC"}, {"Chad", "TD"},
    {"French Southern Territories", "TF"}, {"Togo", "TG"}, {"Thailand", "TH"}, {"Tajikistan", "TJ"}, {"Tokelau", "TK"},
    {"Timor-Leste", "TL"}, {"Timor Leste", "TL"}, {"Turkmenistan", "TM"}, {"Tunisia", "TN"}, {"Tonga", "TO"},
    {"Türkiye", "TR"}, {"Turkey", "TR"}, {"Trinidad and Tobago", "TT"}, {"Trinidad & Tobago", "TT"}, {"Tuvalu", "TV"},
    {"Taiwan", "TW"}, {"Tanzania", "TZ"}, {"Ukraine", "UA"}, {"Uganda", "UG"}, {"United States Minor Outlying Islands", "UM"},
    {"U.S. Outlying Islands", "UM"}, {"United States", "US"}, {"United States of America", "US"}, {"USA", "US"}, {"Uruguay", "UY"},
    {"Uzbekistan", "UZ"}, {"Vatican City", "VA"}, {"Holy See", "VA"}, {"Saint Vincent and the Grenadines", "VC"},
    {"St. Vincent & Grenadines", "VC"}, {"Venezuela", "VE"}, {"British Virgin Islands", "VG"}, {"U.S. Virgin Islands", "VI"},
    {"Vietnam", "VN"}, {"Vanuatu", "VU"}, {"Wallis and Futuna", "WF"}, {"Wallis & Futuna", "WF"}, {"Samoa", "WS"},
    {"Kosovo", "XK"}, {"Yemen", "YE"}, {"Mayotte", "YT"}, {"South Africa", "ZA"}, {"Zambia", "ZM"}, {"Zimbabwe", "ZW"},
};

// begins_like: the cheap question first: a letter's two cases differ in this bit alone.
static bool begins_like(struct sv a, const char *b) {
    return a.n > 0 && (a.p[0] | 0x20) == (b[0] | 0x20);
}

struct sv country_named(struct sv name) {
    name = trim_utf8(name);
    for (size_t i = 0; i < COUNTOF(names); i++)
        if (begins_like(name, names[i].name) && sv_is_nocase(name, names[i].name))
            return sv_of(names[i].code);
    return SV_NONE;
}
