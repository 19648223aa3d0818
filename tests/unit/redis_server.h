// redis_server.h: a private Redis for tests: its own process, port and directory, as durable as the product asks for.
// It dies with the test, whatever happens to it.
#ifndef TESTS_UNIT_REDIS_SERVER_H
#define TESTS_UNIT_REDIS_SERVER_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct redis_server {
    pid_t pid;
    int port;
    char dir[64];
    char url[64];
};

static inline int redis_connect(int port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static inline int free_port(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool good = fd >= 0 && bind(fd, (struct sockaddr *)&at, n) == 0 && getsockname(fd, (struct sockaddr *)&at, &n) == 0;
    if (fd >= 0)
        close(fd);
    return good ? ntohs(at.sin_port) : -1;
}

// One PING on a connection of its own; a loading server answers with something else.
static inline bool redis_answers(int port) {
    char answer[8] = "";
    int fd = redis_connect(port);
    if (fd < 0)
        return false;
    bool good = write(fd, "PING\r\n", 6) == 6 && poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 1000) == 1 &&
                read(fd, answer, sizeof answer - 1) > 0 && strncmp(answer, "+PONG", 5) == 0;
    close(fd);
    return good;
}

static inline bool redis_installed(void) {
    static const char *const places[] = {"/usr/bin/redis-server", "/usr/local/bin/redis-server"};
    return access(places[0], X_OK) == 0 || access(places[1], X_OK) == 0;
}

static inline void redis_exec(const struct redis_server *s, pid_t parent) {
    char port[16];
    snprintf(port, sizeof port, "%d", s->port);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    int quiet = open("/dev/null", O_RDWR);
    dup2(quiet, STDOUT_FILENO);
    dup2(quiet, STDERR_FILENO);
    execlp("redis-server", "redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", s->dir, "--appendonly", "yes",
           "--appendfsync", "always", "--maxmemory-policy", "noeviction", "--save", "", (char *)NULL);
    _exit(127);
}

// redis_server_run starts the process over the directory and port of *s and waits until it answers: also after a stop.
static inline bool redis_server_run(struct redis_server *s) {
    pid_t parent = getpid();
    s->pid = fork();
    if (s->pid == 0)
        redis_exec(s, parent);
    for (int i = 0; s->pid > 0 && i < 1000; i++) {  // at most 10 s
        if (redis_answers(s->port))
            return true;
        if (waitpid(s->pid, NULL, WNOHANG) == s->pid)
            break;
        poll(NULL, 0, 10);
    }
    return false;
}

static inline bool redis_server_start(struct redis_server *s) {
    *s = (struct redis_server){.dir = "/tmp/redis_test_XXXXXX"};
    if (!mkdtemp(s->dir))
        return false;
    for (int i = 0; i < 5; i++) {  // the port may be gone again before the server has it
        s->port = free_port();
        snprintf(s->url, sizeof s->url, "redis://127.0.0.1:%d/0", s->port);
        if (redis_server_run(s))
            return true;
    }
    return false;
}

static inline void redis_server_stop(struct redis_server *s) {  // at once, as a crash would
    if (s->pid <= 0)
        return;
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
    s->pid = 0;
}

// redis_server_remove: stops it and takes its files away.
static inline void redis_server_remove(struct redis_server *s) {
    redis_server_stop(s);
    pid_t pid = fork();
    if (pid == 0) {
        execlp("rm", "rm", "-rf", "--", s->dir, (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
}

#endif
