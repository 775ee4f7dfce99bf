/* What the C tests share: checks that say where they failed, and a host that keeps what it was told. */
#ifndef TEST_H
#define TEST_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <camrill.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
/* A test file takes what it needs. */
#define UNUSED __attribute__((unused))

#define CHECK(condition)                                                              \
    do {                                                                              \
        if (!(condition)) {                                                           \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);   \
            fflush(stderr);                                                           \
            abort();                                                                  \
        }                                                                             \
    } while (0)

#define EQ(a, b)                                                                              \
    do {                                                                                      \
        long long left_ = (long long)(a), right_ = (long long)(b);                            \
        if (left_ != right_) {                                                                \
            char why_[512];                                                                   \
            camrill_engine_last_error(NULL, why_, sizeof why_);                               \
            fprintf(stderr, "%s:%d: %s is %lld, not %s, which is %lld (%s)\n", __FILE__,      \
                    __LINE__, #a, left_, #b, right_, why_);                                   \
            fflush(stderr);                                                                   \
            abort();                                                                          \
        }                                                                                     \
    } while (0)

#define EQ_TEXT(a, b)                                                                                     \
    do {                                                                                                  \
        const char *left_ = (a), *right_ = (b);                                                           \
        if (strcmp(left_, right_) != 0) {                                                                 \
            fprintf(stderr, "%s:%d: %s is \"%s\", not \"%s\"\n", __FILE__, __LINE__, #a, left_, right_);  \
            abort();                                                                                      \
        }                                                                                                 \
    } while (0)

/* Runs one test, and says which it was where it hangs. */
#define RUN(test)                                     \
    do {                                              \
        alarm(120);                                   \
        fprintf(stderr, "  %s\n", #test);             \
        test();                                       \
    } while (0)

static UNUSED int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* One event, kept. */
struct seen {
    camrill_id_t client, stream;
    char vhost[64], app[64], name[64], param[64], address[64], reason[128], path[256];
    int64_t duration_us;
    uint64_t bytes;
    camrill_id_t relay;
    int32_t state;
    uint32_t next_ms;
    char url[128];
};

struct question {
    int32_t action;
    camrill_id_t ticket, client;
    char name[64], param[64], tc_url[128], page_url[128];
};

/* A program that has an engine. `user` of its callbacks is this. */
struct host {
    camrill_engine_t *engine;
    int32_t port;
    int events, counts[12];
    struct seen last[12];
    int asked;
    struct question questions[64];
    int32_t verdict;
    int logs;
    char log[1 << 16];
    size_t log_size;
    int freed;       /* user_free has run */
    int given_up;    /* camrill_engine_free has been called, maybe inside a callback */
    int after;       /* callbacks that came after that */
    void (*on_event)(struct host *, const camrill_event_t *);
    int32_t (*on_admission)(struct host *, const camrill_admission_t *);
    void (*on_log)(struct host *, int32_t, camrill_id_t, const char *);
    void *more;
};

static UNUSED void keep(char *to, size_t size, const char *from)
{
    CHECK(from != NULL);
    snprintf(to, size, "%s", from);
}

static UNUSED void host_on_event(void *user, const camrill_event_t *event)
{
    struct host *h = user;
    struct seen *s;
    CHECK(event->struct_size == sizeof *event && event->type >= 1 && event->type <= 11);
    CHECK(!h->freed);
    h->after += h->given_up;
    h->events++;
    h->counts[event->type]++;
    s = &h->last[event->type];
    s->client = event->client;
    s->stream = event->stream;
    keep(s->vhost, sizeof s->vhost, event->vhost);
    keep(s->app, sizeof s->app, event->app);
    keep(s->name, sizeof s->name, event->name);
    keep(s->param, sizeof s->param, event->param);
    keep(s->address, sizeof s->address, event->address);
    keep(s->reason, sizeof s->reason, event->reason);
    keep(s->path, sizeof s->path, event->path);
    s->duration_us = event->duration_us;
    s->bytes = event->bytes;
    s->relay = event->relay;
    s->state = event->state;
    s->next_ms = event->next_ms;
    keep(s->url, sizeof s->url, event->url);
    if (h->on_event != NULL)
        h->on_event(h, event);
}

static UNUSED int32_t host_on_admission(void *user, const camrill_admission_t *request)
{
    struct host *h = user;
    CHECK(request->struct_size == sizeof *request && request->ticket != 0 && request->client != 0);
    CHECK(request->vhost && request->app && request->name && request->param && request->address);
    CHECK(!h->freed);
    h->after += h->given_up;
    if (h->asked < 64) {
        struct question *q = &h->questions[h->asked];
        q->action = request->action;
        q->ticket = request->ticket;
        q->client = request->client;
        keep(q->name, sizeof q->name, request->name);
        keep(q->param, sizeof q->param, request->param);
        keep(q->tc_url, sizeof q->tc_url, request->tc_url);
        keep(q->page_url, sizeof q->page_url, request->page_url);
    }
    h->asked++;
    return h->on_admission != NULL ? h->on_admission(h, request) : h->verdict;
}

static UNUSED void host_on_log(void *user, int32_t level, camrill_id_t client, const char *line)
{
    struct host *h = user;
    int length;
    CHECK(!h->freed && level >= CAMRILL_LOG_ERROR && level <= CAMRILL_LOG_TRACE && line != NULL);
    h->after += h->given_up;
    h->logs++;
    length = snprintf(h->log + h->log_size, sizeof h->log - h->log_size, "%s\n", line);
    if (length > 0 && (size_t)length < sizeof h->log - h->log_size)
        h->log_size += (size_t)length;
    if (h->on_log != NULL)
        h->on_log(h, level, client, line);
}

static UNUSED void host_freed(void *user)
{
    struct host *h = user;
    h->freed++;
}

/* An engine that has been told of its callbacks and of nothing else. */
static UNUSED void host_make(struct host *h, int32_t verdict)
{
    camrill_engine_config_t config = CAMRILL_ENGINE_CONFIG_INIT;
    memset(h, 0, sizeof *h);
    h->verdict = verdict;
    config.user = h;
    config.user_free = host_freed;
    config.on_log = host_on_log;
    config.on_event = host_on_event;
    if (verdict != 0)
        config.on_admission = host_on_admission;
    EQ(camrill_engine_new(&config, &h->engine), 0);
}

/* ... and one that serves RTMP at a free port. `verdict` 0: without on_admission. */
static UNUSED void host_start(struct host *h, int32_t verdict)
{
    host_make(h, verdict);
    EQ(camrill_config_set(h->engine, "listen", "127.0.0.1:0"), 0);
    EQ(camrill_config_apply(h->engine), 0);
    h->port = camrill_engine_port(h->engine, "rtmp");
    CHECK(h->port > 0 && h->port < 65536);
}

static UNUSED void host_free(struct host *h)
{
    camrill_engine_free(h->engine);
    EQ(h->freed, 1);
}

/* The last error of an engine; NULL: of this thread. Good until the next call. */
static UNUSED const char *why(const camrill_engine_t *engine)
{
    static char text[1024];
    camrill_engine_last_error(engine, text, sizeof text);
    return text;
}

/* A publisher's user: counts what it was told. */
struct camera {
    camrill_publisher_t *publisher;
    struct host *host;
    int freed, keys;
    int64_t clock;
    void (*on_key)(struct camera *);
    void (*on_freed)(struct camera *);
};

static UNUSED void camera_freed(void *user)
{
    struct camera *c = user;
    c->freed++;
    CHECK(c->host == NULL || !c->host->freed);
    if (c->on_freed != NULL)
        c->on_freed(c);
}

static UNUSED void camera_key(void *user)
{
    struct camera *c = user;
    CHECK(!c->freed);
    if (c->host != NULL)
        c->host->after += c->host->given_up;
    c->keys++;
    if (c->on_key != NULL)
        c->on_key(c);
}

/* live/NAME with H.264 and ADTS. */
static UNUSED int32_t camera_new(struct camera *c, struct host *h, const char *name)
{
    camrill_publisher_config_t config = CAMRILL_PUBLISHER_CONFIG_INIT;
    memset(c, 0, sizeof *c);
    c->host = h;
    config.tracks.video_codec = CAMRILL_CODEC_H264;
    config.tracks.audio_codec = CAMRILL_CODEC_AAC;
    config.queue_bytes = 64 * 1024;
    config.app = "live";
    config.name = name;
    config.user = c;
    config.user_free = camera_freed;
    config.need_keyframe = camera_key;
    return camrill_publisher_new(h->engine, &config, &c->publisher);
}

/* An access unit in `out` (of at least size + 64 bytes): 25 bytes of SPS and so on where `key`, then one
 * NAL unit of `size` bytes that begins with its type and holds `mark`. Answers its length. */
static UNUSED size_t access_unit(uint8_t *out, int key, size_t size, uint8_t mark)
{
    static const uint8_t sets[] = {
        0, 0, 0, 1, 0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9, 0x40, 0xa0, 0x2f, 0xf9, 0x61, 0x00, 0x00, 0x03, 0x00,
        0x01, 0x00, 0x00, 0x03, 0x00, 0x32, 0x0f, 0x16, 0x2d, 0x96, 0, 0, 1, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0,
    };
    size_t n = 0;
    if (key) {
        memcpy(out, sets, sizeof sets);
        n = sizeof sets;
    }
    memcpy(out + n, "\0\0\0\1", 4);
    out[n + 4] = key ? 0x65 : 0x41;
    memset(out + n + 5, mark | 0x80, size - 1);
    return n + 4 + size;
}

static UNUSED int32_t camera_video(struct camera *c, int key, size_t size, uint8_t mark)
{
    camrill_frame_t frame = CAMRILL_FRAME_INIT;
    uint8_t *data = malloc(size + 64);
    int32_t result;
    CHECK(data != NULL);
    frame.codec = CAMRILL_CODEC_H264;
    frame.size = access_unit(data, key, size, mark);
    frame.data = data;
    frame.pts_us = frame.dts_us = c->clock;
    c->clock += 40000;
    result = camrill_publisher_write(c->publisher, &frame);
    free(data);
    return result;
}

#endif
