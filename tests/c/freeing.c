/* Freeing an engine: inside every kind of callback, under poll and run, and user_free once and last. */
#include "rtmp.h"

/* Where the engine is freed. */
enum place { IN_EVENT, IN_LOG, IN_CALL, IN_ADMISSION, IN_KEYFRAME, IN_USER_FREE, PLACES };

struct scene {
    struct host h;
    struct camera camera, ended;
    enum place place;
    int done;
};

static struct scene *scene;

static void give_up(void)
{
    camrill_stats_t stats;
    if (scene->done)
        return;
    scene->done = 1;
    camrill_engine_free(scene->h.engine);
    scene->h.given_up = 1;
    /* Deferred: nothing has gone yet, and whoever asks on is told so. */
    EQ(scene->h.freed, 0);
    stats.struct_size = sizeof stats;
    EQ(camrill_stats(scene->h.engine, &stats), CAMRILL_ESTATE);
    EQ(camrill_engine_poll(scene->h.engine, 0), CAMRILL_ESTATE);
}

static void free_in_event(struct host *h, const camrill_event_t *event)
{
    (void)h;
    if (scene->place == IN_EVENT && event->type == CAMRILL_EVENT_CONNECTED)
        give_up();
}

static int32_t free_in_admission(struct host *h, const camrill_admission_t *request)
{
    (void)h, (void)request;
    if (scene->place == IN_ADMISSION)
        give_up();
    return CAMRILL_ALLOW;
}

static void free_in_log(struct host *h, int32_t level, camrill_id_t client, const char *line)
{
    (void)h, (void)level, (void)line;
    if (scene->place == IN_LOG && client != 0)
        give_up();
}

static void free_in_call(void *user)
{
    (void)user;
    scene->h.after += scene->h.given_up;
    give_up();
}

static void free_in_keyframe(struct camera *c)
{
    (void)c;
    if (scene->place == IN_KEYFRAME)
        give_up();
}

static void free_in_user_free(struct camera *c)
{
    (void)c;
    if (scene->place == IN_USER_FREE)
        give_up();
}

static void one_scene(enum place place, int runs)
{
    struct scene s;
    struct rtmp *c = NULL;
    int32_t result = 0;

    memset(&s, 0, sizeof s);
    scene = &s;
    host_start(&s.h, CAMRILL_ALLOW);
    s.place = place;
    s.h.on_event = free_in_event;
    s.h.on_admission = free_in_admission;
    s.h.on_log = free_in_log;
    EQ(camera_new(&s.camera, &s.h, "a"), 0);
    EQ(camera_new(&s.ended, &s.h, "b"), 0);
    s.camera.on_key = free_in_keyframe;
    s.ended.on_freed = free_in_user_free;
    if (place == IN_CALL) {
        EQ(camrill_engine_call(s.h.engine, free_in_call, NULL), 0);
        EQ(camrill_engine_call(s.h.engine, free_in_call, NULL), 0);
    }
    if (place == IN_KEYFRAME) {
        EQ(camera_video(&s.camera, 1, 1000, 0), 0);
        EQ(camera_video(&s.camera, 0, 65536, 0), CAMRILL_EAGAIN);
    }
    if (place == IN_USER_FREE) {
        camrill_publisher_free(s.ended.publisher);
        s.ended.publisher = NULL;
    }
    if (place == IN_EVENT || place == IN_ADMISSION || place == IN_LOG) {
        /* A whole connect in the socket before the loop looks: shake hands first, then leave it to run. */
        c = rtmp_open(s.h.port, "live", "a", 0);
        if (!runs) {
            while (!s.done) {
                result = camrill_engine_poll(s.h.engine, 1);
                rtmp_step(c);
            }
        } else if (place == IN_LOG) {
            result = camrill_engine_run(s.h.engine);
        } else {
            /* Without a log line or event so far: drive the handshake from another side of the socket. */
            uint8_t c2[1536] = {0};
            rtmp_raw(c, c2, sizeof c2);
            rtmp_connect(c);
            result = camrill_engine_run(s.h.engine);
        }
    } else if (runs) {
        result = camrill_engine_run(s.h.engine);
    } else {
        result = camrill_engine_poll(s.h.engine, 100);
    }
    CHECK(result >= 0);
    EQ(s.done, 1);
    EQ(s.h.freed, 1);
    EQ(s.h.after, 0);
    EQ(s.camera.freed, 1);
    EQ(s.ended.freed, 1);
    /* The publisher is still there, but has no stream. */
    EQ(camera_video(&s.camera, 1, 10, 0), CAMRILL_ESTATE);
    camrill_publisher_free(s.camera.publisher);
    camrill_publisher_free(s.ended.publisher);
    EQ(s.camera.freed, 1);
    EQ(s.ended.freed, 1);
    if (c != NULL)
        rtmp_close(c, 0);
}

static void inside_callbacks(void)
{
    int place, runs;
    for (place = 0; place < PLACES; place++)
        for (runs = 0; runs < 2; runs++)
            one_scene((enum place)place, runs);
}

/* on_log runs inside any call: freed there, the engine goes when that call returns. */
static void free_now(struct host *h, int32_t level, camrill_id_t client, const char *line)
{
    (void)level, (void)client, (void)line;
    if (!h->given_up) {
        camrill_engine_free(h->engine);
        h->given_up = 1;
        EQ(h->freed, 0);
        EQ(camrill_config_set(h->engine, "listen", "0"), CAMRILL_ESTATE);
        /* Twice is once. */
        camrill_engine_free(h->engine);
    }
}

static void inside_the_log_of_a_plain_call(void)
{
    struct host h;
    struct camera c;

    host_make(&h, 0);
    h.on_log = free_now;
    EQ(camrill_config_load_text(h.engine, "x", "listen 127.0.0.1:0; rtc_server { enabled on; } srt_server { enabled on; }"),
       0);
    EQ(h.freed, 1);
    EQ(h.after, 0);

    host_make(&h, 0);
    EQ(camrill_config_set(h.engine, "listen", "127.0.0.1:0"), 0);
    h.on_log = free_now;
    EQ(camrill_config_apply(h.engine), 0);
    EQ(h.freed, 1);

    /* The publisher comes out all the same, and is the caller's. */
    host_make(&h, 0);
    h.on_log = free_now;
    EQ(camera_new(&c, &h, "a"), 0);
    EQ(h.freed, 1);
    EQ(c.freed, 1);
    EQ(camera_video(&c, 1, 10, 0), CAMRILL_ESTATE);
    camrill_publisher_free(c.publisher);
    EQ(c.freed, 1);
    EQ(h.after, 0);

    /* Already on its way: a free in its own last words changes nothing. */
    host_start(&h, 0);
    h.on_log = free_now;
    camrill_engine_free(h.engine);
    EQ(h.freed, 1);
    EQ(h.logs > 0, 1);
}

static void once_for_each_publisher(void)
{
    struct host h;
    struct camera a, b;
    camrill_publisher_config_t config = CAMRILL_PUBLISHER_CONFIG_INIT;
    camrill_publisher_t *nobodys = NULL;

    /* The publisher first, the loop between. */
    host_start(&h, 0);
    EQ(camera_new(&a, &h, "a"), 0);
    camrill_publisher_free(a.publisher);
    EQ(a.freed, 0);
    CHECK(camrill_engine_poll(h.engine, 1000) > 0);
    EQ(a.freed, 1);
    host_free(&h);
    EQ(a.freed, 1);

    /* The publisher first, no loop between. */
    host_start(&h, 0);
    EQ(camera_new(&a, &h, "a"), 0);
    camrill_publisher_free(a.publisher);
    host_free(&h);
    EQ(a.freed, 1);

    /* The engine first. */
    host_start(&h, 0);
    EQ(camera_new(&a, &h, "a"), 0);
    EQ(camera_new(&b, &h, "b"), 0);
    EQ(camera_video(&a, 1, 100, 0), 0);
    host_free(&h);
    EQ(a.freed, 1);
    EQ(b.freed, 1);
    EQ(camera_video(&a, 0, 100, 0), CAMRILL_ESTATE);
    CHECK(strstr(why(NULL), "no longer this publisher's") != NULL);
    camrill_publisher_free(a.publisher);
    camrill_publisher_free(b.publisher);
    EQ(a.freed, 1);

    /* Replaced by another. */
    host_start(&h, 0);
    EQ(camrill_config_set(h.engine, "vhost/__defaultVhost__/publish/on_conflict", "replace"), 0);
    EQ(camrill_config_apply(h.engine), 0);
    EQ(camera_new(&a, &h, "a"), 0);
    EQ(camera_new(&b, &h, "a"), 0);
    EQ(camera_video(&a, 1, 100, 0), CAMRILL_ESTATE);
    EQ(camera_video(&b, 1, 100, 0), 0);
    EQ(a.freed, 0);
    CHECK(camrill_engine_poll(h.engine, 0) > 0);
    EQ(a.freed, 1);
    EQ(b.freed, 0);
    EQ(h.counts[CAMRILL_EVENT_PUBLISHED], 2);
    EQ(h.counts[CAMRILL_EVENT_UNPUBLISHED], 1);
    camrill_publisher_free(a.publisher);
    CHECK(camrill_engine_poll(h.engine, 10) >= 0);
    EQ(h.counts[CAMRILL_EVENT_UNPUBLISHED], 1);
    EQ(camera_video(&b, 0, 100, 0), 0);
    camrill_publisher_free(b.publisher);
    host_free(&h);
    EQ(a.freed, 1);
    EQ(b.freed, 1);

    /* Refused: never called. */
    host_start(&h, 0);
    EQ(camera_new(&a, &h, "a"), 0);
    memset(&b, 0, sizeof b);
    config.tracks.video_codec = CAMRILL_CODEC_H264;
    config.app = "live";
    config.name = "a";
    config.user = &b;
    config.user_free = camera_freed;
    EQ(camrill_publisher_new(h.engine, &config, &nobodys), CAMRILL_EBUSY);
    CHECK(nobodys == NULL && strstr(why(h.engine), "live/a") != NULL);
    CHECK(camrill_engine_poll(h.engine, 0) > 0);
    camrill_publisher_free(a.publisher);
    host_free(&h);
    EQ(a.freed, 1);
    EQ(b.freed, 0);
}

static void free_self(struct camera *c)
{
    camrill_publisher_free(c->publisher);
    c->publisher = NULL;
}

/* A publisher may be freed in its own need_keyframe, and its owner's things in user_free. */
static void publisher_inside_its_own_callback(void)
{
    struct host h;
    struct camera c;
    host_start(&h, 0);
    EQ(camera_new(&c, &h, "a"), 0);
    c.on_key = free_self;
    EQ(camera_video(&c, 1, 65000, 0), 0);
    EQ(camera_video(&c, 0, 65000, 0), CAMRILL_EAGAIN);
    while (!c.freed)
        CHECK(camrill_engine_poll(h.engine, 100) >= 0);
    EQ(c.keys, 1);
    CHECK(c.publisher == NULL);
    host_free(&h);
    EQ(c.freed, 1);
}

static void *free_it(void *user)
{
    usleep(20000);
    camrill_publisher_free(user);
    return NULL;
}

/* camrill_publisher_free() is for any thread, while the loop runs. */
static void publisher_on_another_thread(void)
{
    struct host h;
    struct camera c;
    pthread_t thread;
    host_start(&h, 0);
    EQ(camera_new(&c, &h, "a"), 0);
    EQ(pthread_create(&thread, NULL, free_it, c.publisher), 0);
    while (!c.freed)
        CHECK(camrill_engine_poll(h.engine, 1000) >= 0);
    EQ(pthread_join(thread, NULL), 0);
    host_free(&h);
}

/* With connections, unanswered bytes and a player that doesn't read. */
static void in_full_swing(void)
{
    struct host h;
    struct camera c;
    struct rtmp *player, *shaking;
    int i;
    host_start(&h, 0);
    EQ(camera_new(&c, &h, "a"), 0);
    player = rtmp_open(h.port, "live", "a", 0);
    shaking = rtmp_open(h.port, "live", "a", 0);
    UNTIL(&h, player, player->state == RTMP_GOING);
    for (i = 0; i < 100; i++) {
        EQ(camera_video(&c, i == 0, 60000, 0), 0);
        CHECK(camrill_engine_poll(h.engine, 0) >= 0);
    }
    EQ(camera_video(&c, 0, 1000, 0), 0);
    host_free(&h);
    camrill_publisher_free(c.publisher);
    EQ(c.freed, 1);
    rtmp_close(player, 0);
    rtmp_close(shaking, 0);
}

int main(void)
{
    RUN(inside_callbacks);
    RUN(inside_the_log_of_a_plain_call);
    RUN(once_for_each_publisher);
    RUN(publisher_inside_its_own_callback);
    RUN(publisher_on_another_thread);
    RUN(in_full_swing);
    return 0;
}
