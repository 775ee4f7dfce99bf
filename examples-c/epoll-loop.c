/* The engine in the host's own epoll loop, beside a timer and standard input: no thread, no run().
 *
 * epoll-loop [PORT]    "streams" and "quit" are its commands; each second it counts players. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <camrill.h>

static void on_event(void *user, const camrill_event_t *event)
{
    static const char *const what[] = {"", "connected", "closed", "published", "unpublished", "play", "stop"};
    (void)user;
    if (event->type < 0 || event->type >= (int32_t)(sizeof what / sizeof *what))
        return; /* a newer library's */
    printf("%s %s/%s %s\n", what[event->type], event->app, event->name, event->address);
    fflush(stdout);
}

static void print_streams(camrill_engine_t *engine)
{
    camrill_id_t ids[64];
    int32_t i, count = camrill_streams(engine, ids, 64);
    for (i = 0; i < count && i < 64; i++) {
        camrill_stream_info_t info;
        info.struct_size = sizeof info;
        if (camrill_stream_info(engine, ids[i], &info) < 0)
            continue;
        printf("%s/%s %ux%u, %u players, %llu frames\n", info.app, info.name, info.width, info.height,
               info.players, (unsigned long long)info.video_frames);
    }
    printf("%d streams\n", (int)count);
    fflush(stdout);
}

static int watch(int epoll, int fd)
{
    struct epoll_event event;
    memset(&event, 0, sizeof event);
    event.events = EPOLLIN;
    event.data.fd = fd;
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

int main(int argc, char **argv)
{
    camrill_engine_config_t config = CAMRILL_ENGINE_CONFIG_INIT;
    camrill_engine_t *engine = NULL;
    struct itimerspec second = {{1, 0}, {1, 0}};
    int epoll = epoll_create1(EPOLL_CLOEXEC), timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    uint32_t players = 0;
    int running = 1;

    config.on_event = on_event;
    if (epoll < 0 || timer < 0 || camrill_engine_new(&config, &engine) < 0 ||
        camrill_config_set(engine, "listen", argc > 1 ? argv[1] : "1935") < 0 ||
        camrill_config_apply(engine) < 0) {
        char text[512];
        camrill_engine_last_error(engine, text, sizeof text);
        fprintf(stderr, "epoll-loop: %s\n", text);
        camrill_engine_free(engine);
        return 1;
    }
    printf("rtmp on port %d\n", (int)camrill_engine_port(engine, "rtmp"));
    fflush(stdout);
    timerfd_settime(timer, 0, &second, NULL);
    watch(epoll, camrill_engine_fd(engine));
    watch(epoll, timer);
    watch(epoll, STDIN_FILENO);

    while (running) {
        struct epoll_event events[8];
        int32_t wait = camrill_engine_timeout_ms(engine);
        int i, count = epoll_wait(epoll, events, 8, wait == INT32_MAX ? -1 : wait);
        for (i = 0; i < count; i++) {
            if (events[i].data.fd == timer) {
                uint64_t times;
                camrill_stats_t stats;
                stats.struct_size = sizeof stats;
                if (read(timer, &times, sizeof times) > 0 && camrill_stats(engine, &stats) == 0 &&
                    stats.players != players)
                    printf("%u players\n", players = stats.players), fflush(stdout);
            } else if (events[i].data.fd == STDIN_FILENO) {
                char text[256] = "", *line;
                if (read(STDIN_FILENO, text, sizeof text - 1) <= 0)
                    running = 0;
                for (line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
                    if (strcmp(line, "quit") == 0)
                        running = 0;
                    else if (strcmp(line, "streams") == 0)
                        print_streams(engine);
                }
            }
        }
        /* Whatever woke us: a turn without waiting costs next to nothing. */
        if (camrill_engine_poll(engine, 0) < 0)
            running = 0;
    }
    camrill_engine_free(engine);
    close(timer);
    close(epoll);
    return 0;
}
