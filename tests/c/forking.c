/* fork(): a child may make an engine of its own, and can't touch its parent's. */
#include "rtmp.h"

#include <fcntl.h>
#include <sys/wait.h>

/* What this program was started with. */
static int inherited[64];

static void child_ends_well(pid_t child)
{
    int status;
    CHECK(child > 0);
    EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status));
    EQ(WEXITSTATUS(status), 0);
}

static void works(struct host *h)
{
    struct camera c;
    struct rtmp *player;
    EQ(camera_new(&c, h, "works"), 0);
    player = rtmp_open(h->port, "live", "works", 0);
    UNTIL(h, player, player->state == RTMP_GOING);
    EQ(camera_video(&c, 1, 100, 1), 0);
    UNTIL(h, player, player->video == 1);
    camrill_publisher_free(c.publisher);
    UNTIL(h, player, c.freed == 1);
    rtmp_close(player, 0);
    UNTIL(h, NULL, h->counts[CAMRILL_EVENT_STOP] == h->counts[CAMRILL_EVENT_PLAY]);
}

static void after_free(void)
{
    struct host h;
    pid_t child;
    host_start(&h, 0);
    works(&h);
    host_free(&h);
    child = fork();
    if (child == 0) {
        struct host mine;
        host_start(&mine, 0);
        works(&mine);
        host_free(&mine);
        _exit(0);
    }
    child_ends_well(child);
}

static void nothing(void *user)
{
    (void)user;
}

static void is_refused(struct host *h, struct camera *c)
{
    camrill_publisher_config_t config = CAMRILL_PUBLISHER_CONFIG_INIT;
    camrill_publisher_t *p = NULL;
    camrill_stats_t stats;
    char text[64];
    stats.struct_size = sizeof stats;
    config.tracks.video_codec = CAMRILL_CODEC_H264;
    config.app = config.name = "b";
    EQ(camrill_engine_poll(h->engine, 0), CAMRILL_EFORKED);
    EQ(camrill_engine_run(h->engine), CAMRILL_EFORKED);
    EQ(camrill_engine_fd(h->engine), CAMRILL_EFORKED);
    EQ(camrill_engine_stop(h->engine), CAMRILL_EFORKED);
    EQ(camrill_engine_wake(h->engine), CAMRILL_EFORKED);
    EQ(camrill_engine_call(h->engine, nothing, NULL), CAMRILL_EFORKED);
    EQ(camrill_stats(h->engine, &stats), CAMRILL_EFORKED);
    EQ(camrill_config_apply(h->engine), CAMRILL_EFORKED);
    EQ(camrill_config_get(h->engine, "listen", text, sizeof text), CAMRILL_EFORKED);
    EQ(camrill_publisher_new(h->engine, &config, &p), CAMRILL_EFORKED);
    EQ(camera_video(c, 1, 100, 1), CAMRILL_EFORKED);
    CHECK(strstr(why(h->engine), "process that made it") != NULL);
}

/* The child gives its copy back, makes an engine of its own, or does nothing: the parent goes on. */
static void with_a_live_engine(void)
{
    struct host h;
    struct camera c;
    struct rtmp *player;
    int way;
    host_start(&h, 0);
    EQ(camera_new(&c, &h, "a"), 0);
    player = rtmp_open(h.port, "live", "a", 0);
    UNTIL(&h, player, player->state == RTMP_GOING);
    h.counts[CAMRILL_EVENT_PLAY] = 0;
    for (way = 0; way < 4; way++) {
        pid_t child;
        EQ(camera_video(&c, 1, 100, 1), 0);
        child = fork();
        if (child == 0) {
            is_refused(&h, &c);
            if (way == 1 || way == 3) {
                struct host mine;
                host_start(&mine, 0);
                works(&mine);
                host_free(&mine);
            }
            if (way >= 2) {
                camrill_publisher_free(c.publisher);
                host_free(&h);
                EQ(c.freed, 1);
                rtmp_close(player, 0);
                _exit(0);
            }
            /* What is its parent's is no leak of its own. */
            execl("/bin/true", "true", (char *)NULL);
            _exit(1);
        }
        child_ends_well(child);
        UNTIL(&h, player, player->video == way + 1);
        EQ(c.freed, 0);
        EQ(h.counts[CAMRILL_EVENT_STOP] + h.counts[CAMRILL_EVENT_UNPUBLISHED], 0);
        works(&h);
        h.counts[CAMRILL_EVENT_STOP] = h.counts[CAMRILL_EVENT_UNPUBLISHED] = h.counts[CAMRILL_EVENT_PLAY] = 0;
    }
    /* Listening and connected as before. */
    EQ(camrill_engine_stop(h.engine), 0);
    EQ(camrill_engine_run(h.engine), 0);
    camrill_publisher_free(c.publisher);
    rtmp_close(player, 0);
    host_free(&h);
}

static void fork_here(struct host *h, const camrill_event_t *event)
{
    if (event->type == CAMRILL_EVENT_PUBLISHED) {
        pid_t child = fork();
        if (child == 0) {
            camrill_stats_t stats;
            stats.struct_size = sizeof stats;
            EQ(camrill_stats(h->engine, &stats), CAMRILL_EFORKED);
            camrill_engine_free(h->engine);
            h->more = h;
            return;
        }
        child_ends_well(child);
    }
}

/* In a callback: the child comes back out of poll, with an error and without an engine. */
static void inside_a_callback(void)
{
    struct host h;
    struct camera c;
    int32_t result;
    host_start(&h, 0);
    h.on_event = fork_here;
    EQ(camera_new(&c, &h, "a"), 0);
    result = camrill_engine_poll(h.engine, -1);
    if (h.more != NULL) {
        camrill_publisher_free(c.publisher);
        _exit(h.freed == 1 && c.freed == 1 ? 0 : 1);
    }
    EQ(result, 1);
    EQ(h.freed, 0);
    camrill_publisher_free(c.publisher);
    host_free(&h);
}

/* What a child does with its copies doesn't even wake the parent's loop. */
static void a_child_wakes_nobody(void)
{
    struct host h;
    struct camera c;
    struct pollfd p;
    pid_t child;
    host_start(&h, 0);
    EQ(camera_new(&c, &h, "a"), 0);
    while (camrill_engine_timeout_ms(h.engine) == 0)
        CHECK(camrill_engine_poll(h.engine, 0) >= 0);
    CHECK(camrill_engine_poll(h.engine, 0) >= 0);
    child = fork();
    if (child == 0) {
        camrill_publisher_free(c.publisher);
        host_free(&h);
        _exit(c.freed == 1 ? 0 : 1);
    }
    child_ends_well(child);
    p.fd = camrill_engine_fd(h.engine);
    p.events = POLLIN;
    EQ(poll(&p, 1, 0), 0);
    camrill_publisher_free(c.publisher);
    host_free(&h);
}

/* A program that the host starts gets none of the engine's descriptors. */
static void descriptors_close_on_exec(void)
{
    struct host h;
    struct camera c;
    struct rtmp *player;
    int fd, own = 0;
    host_start(&h, 0);
    EQ(camera_new(&c, &h, "a"), 0);
    player = rtmp_open(h.port, "live", "a", 0);
    UNTIL(&h, player, player->state == RTMP_GOING);
    for (fd = 3; fd < 64; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (flags >= 0 && !inherited[fd]) {
            CHECK(flags & FD_CLOEXEC);
            own++;
        }
    }
    CHECK(own >= 5);
    camrill_publisher_free(c.publisher);
    rtmp_close(player, 0);
    host_free(&h);
    for (fd = 3; fd < 64; fd++)
        EQ(fcntl(fd, F_GETFD) >= 0, inherited[fd]);
}

int main(void)
{
    int fd;
    for (fd = 3; fd < 64; fd++)
        inherited[fd] = fcntl(fd, F_GETFD) >= 0;
    RUN(after_free);
    RUN(with_a_live_engine);
    RUN(inside_a_callback);
    RUN(a_child_wakes_nobody);
    RUN(descriptors_close_on_exec);
    return 0;
}
