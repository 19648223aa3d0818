// commands.h: the words after `fireorder`. Each takes what follows its name and returns the exit status:
// 0 fine, 1 the answer is no, 2 wrong usage.
#ifndef SERVER_COMMANDS_H
#define SERVER_COMMANDS_H

int command_serve(int argc, char **argv);
int command_demo(int argc, char **argv);
int command_check(int argc, char **argv);
int command_send(int argc, char **argv);
int command_map(int argc, char **argv);
int command_report(int argc, char **argv);
int command_sandbox(int argc, char **argv);

#endif
