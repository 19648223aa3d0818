// fireorder: see docs/context.md
(function (w, d, now) {
  var me = d.currentScript, last, sent, click = (w.location.search.match(/[?&]fbclid=([\w-]+)/) || [])[1];

  function cookie(name) {
    return (d.cookie.match('(?:^|; )' + name + '=([^;]*)') || [])[1] || '';
  }

  function keep(name, value, age) {
    d.cookie = name + '=' + value + ';path=/;SameSite=Lax;max-age=' + age;
  }

  function said(visitor, purpose, group, storage) {
    var all = [visitor[purpose]];
    if (cookie('OptanonAlertBoxClosed')) all[1] = (cookie('OptanonConsent').match(group + '(?:%3A|:)([01])') || [])[1];
    [].forEach.call(w.dataLayer || [], function (e) {
      var v = e[0] == 'consent' && (e[2] || {})[storage];
      if (v && (v == 'granted' || e[1] == 'update')) all[2] = v;
    });
    return /no|0|denied/.test(all) ? 'denied' : /yes|1|granted/.test(all) ? 'granted' : void 0;
  }

  function run(force) {
    var shopify = w.Shopify || {}, privacy = shopify.customerPrivacy || {}, root = (shopify.routes || {}).root || '/',
      ready = privacy.currentVisitorConsent, visitor = ready ? privacy.currentVisitorConsent() : {},
      marketing = said(visitor, 'marketing', 'C0004', 'ad_storage'),
      consent = { marketing: marketing, analytics: said(visitor, 'analytics', 'C0002', 'analytics_storage') },
      denied = marketing == 'denied', told = JSON.stringify(consent).replace('{}', ''), state = told + !ready;
    if (!force && state == last) return;
    last = state;
    if (!marketing && !(ready && privacy.marketingAllowed())) return;
    if (denied) {
      keep('_fbp', '', 0);
      keep('_fbc', '', 0);
    } else {
      if (click && cookie('_fbc').split('.')[3] != click) keep('_fbc', 'fb.1.' + now + '.' + click, 7776e3);
      if (!cookie('_fbp')) keep('_fbp', 'fb.1.' + now + '.' + (1e9 + Math.random() * 8e9).toFixed(), 7776e3);
    }
    fetch(root + 'cart.js').then(function (r) { return r.json(); }).then(function (cart) {
      var fbp = denied ? '' : cookie('_fbp'), fbc = denied ? '' : cookie('_fbc'), had = cart.attributes, want = [fbp, fbc, told].join(),
        body = { cart_token: cart.token, consent: consent };
      if (!cart.item_count || [had._fbp, had._fbc, had._consent].join() == want || sent == want) return;
      sent = want;
      if (!denied) {
        body.fbp = fbp;
        body.fbc = fbc;
        body.page_url = w.location.origin + w.location.pathname;
        body.customer_id = me.dataset.customer;
        body.customer_signature = me.dataset.signature;
        body.gpc = navigator.globalPrivacyControl;
      }
      fetch(new URL('context/' + me.dataset.shop, me.src), { method: 'POST', keepalive: true, credentials: 'omit', body: JSON.stringify(body) });
      fetch(root + 'cart/update.js', { method: 'POST', headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ attributes: { _fbp: fbp, _fbc: fbc, _consent: told || void 0 } }) });
    });
  }

  if (w.Shopify && Shopify.loadFeatures) Shopify.loadFeatures([{ name: 'consent-tracking-api', version: '0.1' }], run);
  new PerformanceObserver(function (list) {
    if (/\/cart\/(add|change)/.test(list.getEntries().map(function (e) { return e.name; }))) run(1);
  }).observe({ entryTypes: ['resource'] });
  setInterval(run, 1000);
  run();
})(window, document, Date.now());
