/* Ingests and forwards: streams from engine to engine, what is told of them, names, and their ends. */
#include "rtmp.h"

#include <dirent.h>
#include <dlfcn.h>
#include <netdb.h>
#include <sys/wait.h>

/* The engines and clients of a test, all on this thread. */
static struct host hosts[3];
static struct rtmp *clients[2];
static int running;

static void start(int count, int32_t verdict)
{
    for (running = 0; running < count; running++)
        host_start(&hosts[running], verdict);
}

static void end(void)
{
    while (running > 0)
        host_free(&hosts[--running]);
}

static void turn(void)
{
    size_t i;
    for (i = 0; i < (size_t)running; i++)
        CHECK(camrill_engine_poll(hosts[i].engine, i == 0) >= 0);
    for (i = 0; i < COUNT(clients); i++)
        if (clients[i] != NULL)
            rtmp_step(clients[i]);
}

static void close_client(int i)
{
    rtmp_close(clients[i], 0);
    clients[i] = NULL;
}

/* Drives them until `condition`. */
#define SOON(condition)                                                                          \
    do {                                                                                         \
        int64_t end_ = now_ms() + 30000;                                                         \
        while (!(condition)) {                                                                   \
            if (now_ms() > end_) {                                                               \
                fprintf(stderr, "%s:%d: never so: %s\n%s", __FILE__, __LINE__, #condition, hosts[0].log); \
                abort();                                                                         \
            }                                                                                    \
            turn();                                                                              \
        }                                                                                        \
    } while (0)

/* An ingest or a forward, and what it was told. */
struct relay {
    struct host *host;
    camrill_ingest_t *ingest;
    camrill_forward_t *forward;
    int count, freed;
    struct state {
        int32_t state;
        uint32_t next_ms;
        char reason[256], url[128];
    } states[64];
    camrill_id_t id;
    void (*on_state)(struct relay *, const camrill_relay_state_t *);
};

static void keep_state(void *user, const camrill_relay_state_t *state)
{
    struct relay *r = user;
    struct state *s = &r->states[r->count++ & 63];
    CHECK(state->struct_size == sizeof *state && !r->freed && !r->host->freed);
    CHECK(state->direction == CAMRILL_RELAY_INGEST || state->direction == CAMRILL_RELAY_FORWARD);
    CHECK(state->relay != 0 && (r->id == 0 || r->id == state->relay));
    EQ(state->state == CAMRILL_RELAY_WAITING, state->next_ms != 0);
    r->host->after += r->host->given_up;
    r->id = state->relay;
    s->state = state->state;
    s->next_ms = state->next_ms;
    keep(s->reason, sizeof s->reason, state->reason);
    keep(s->url, sizeof s->url, state->url);
    if (r->on_state != NULL)
        r->on_state(r, state);
}

static void relay_freed(void *user)
{
    struct relay *r = user;
    CHECK(!r->host->freed);
    r->freed++;
}

static struct state *last(struct relay *r)
{
    return &r->states[(r->count - 1) & 63];
}

static int is_in(struct relay *r, int32_t state)
{
    return r->count > 0 && last(r)->state == state;
}

/* The states in order, each by its first letter; r is running. */
static void check_states(struct relay *r, const char *expected)
{
    static const char letters[] = "?icrwe";
    char seen[65] = "";
    int i;
    for (i = 0; i < r->count && i < 64; i++)
        seen[i] = letters[r->states[i].state];
    EQ_TEXT(seen, expected);
}

static const camrill_retry_t quick = {20, 50, 0, 0, 0, 0, {0, 0}};

static const char *url_of(struct host *h, const char *stream)
{
    static char url[4][128];
    static int next;
    next = (next + 1) & 3;
    snprintf(url[next], sizeof url[next], "rtmp://127.0.0.1:%d/live/%s", (int)h->port, stream);
    return url[next];
}

static camrill_ingest_config_t ingest_config(struct relay *r, struct host *h, const char *name,
                                             const char *const *url)
{
    camrill_ingest_config_t config = CAMRILL_INGEST_CONFIG_INIT;
    memset(r, 0, sizeof *r);
    r->host = h;
    config.app = "live";
    config.name = name;
    config.inputs = url;
    config.input_count = 1;
    config.retry = quick;
    config.user = r;
    config.user_free = relay_freed;
    config.on_state = keep_state;
    return config;
}

/* Pulls live/NAME of `h` from this URL. */
static void ingest(struct relay *r, struct host *h, const char *name, const char *url)
{
    camrill_ingest_config_t config = ingest_config(r, h, name, &url);
    EQ(camrill_ingest_new(h->engine, &config, &r->ingest), 0);
}

static camrill_forward_config_t forward_config(struct relay *r, struct host *h, const char *name, const char *url)
{
    camrill_forward_config_t config = CAMRILL_FORWARD_CONFIG_INIT;
    memset(r, 0, sizeof *r);
    r->host = h;
    config.app = "live";
    config.name = name;
    config.url = url;
    config.retry = quick;
    config.user = r;
    config.user_free = relay_freed;
    config.on_state = keep_state;
    return config;
}

/* Sends live/NAME of `h` to this URL. */
static void forward(struct relay *r, struct host *h, const char *name, const char *url)
{
    camrill_forward_config_t config = forward_config(r, h, name, url);
    EQ(camrill_forward_new(h->engine, &config, &r->forward), 0);
}

static camrill_relay_info_t info_of(struct relay *r)
{
    camrill_relay_info_t info;
    memset(&info, 0x5a, sizeof info);
    info.struct_size = sizeof info;
    EQ(r->ingest != NULL ? camrill_ingest_info(r->ingest, &info) : camrill_forward_info(r->forward, &info), 0);
    EQ(info.direction, r->ingest != NULL ? CAMRILL_RELAY_INGEST : CAMRILL_RELAY_FORWARD);
    EQ(info.reserved, 0);
    return info;
}

static void arguments(void)
{
    static int nobody;
    struct host *h = &hosts[0];
    struct relay r;
    camrill_ingest_config_t in;
    camrill_forward_config_t out;
    camrill_relay_info_t info;
    camrill_ingest_t *const no_ingest = (camrill_ingest_t *)&nobody, *i = no_ingest;
    camrill_forward_t *const no_forward = (camrill_forward_t *)&nobody, *f = no_forward;
    const char *url = "rtmp://127.0.0.1/live/a", *pair[2] = {url, NULL};
    camrill_id_t ids[4];

    start(1, 0);
    in = ingest_config(&r, h, "a", &url);
    out = forward_config(&r, h, "a", url);
    EQ(camrill_ingest_new(NULL, &in, &i), CAMRILL_EINVAL);
    EQ(camrill_ingest_new(h->engine, NULL, &i), CAMRILL_EINVAL);
    EQ(camrill_ingest_new(h->engine, &in, NULL), CAMRILL_EINVAL);
    EQ(camrill_forward_new(NULL, &out, &f), CAMRILL_EINVAL);
    EQ(camrill_forward_new(h->engine, NULL, &f), CAMRILL_EINVAL);
    EQ(camrill_forward_new(h->engine, &out, NULL), CAMRILL_EINVAL);
#define WRONG_IN(change, code, word)                            \
    do {                                                        \
        in = ingest_config(&r, h, "a", &url);                   \
        change;                                                 \
        EQ(camrill_ingest_new(h->engine, &in, &i), code);       \
        CHECK(strstr(why(h->engine), word) != NULL);            \
    } while (0)
    WRONG_IN(in.struct_size = 3, CAMRILL_EINVAL, "struct_size");
    WRONG_IN(in.struct_size = (uint32_t)offsetof(camrill_ingest_config_t, inputs), CAMRILL_EINVAL, "0 inputs");
    WRONG_IN(in.flags = 4, CAMRILL_EINVAL, "flags is 4");
    WRONG_IN(in.linger_ms = 1, CAMRILL_EINVAL, "linger_ms");
    WRONG_IN(in.app = NULL, CAMRILL_EINVAL, "app is NULL");
    WRONG_IN(in.name = "a/b", CAMRILL_EINVAL, "name is \"a/b\"");
    WRONG_IN(in.vhost = "\xff", CAMRILL_EINVAL, "UTF-8");
    WRONG_IN(in.inputs = NULL, CAMRILL_EINVAL, "0 inputs");
    WRONG_IN(in.input_count = 0, CAMRILL_EINVAL, "0 inputs");
    WRONG_IN(in.input_count = 257, CAMRILL_EINVAL, "257 inputs");
    WRONG_IN((in.inputs = pair, in.input_count = 2), CAMRILL_EINVAL, "inputs[1] is NULL");
    WRONG_IN((pair[1] = "a.flv", in.inputs = pair, in.input_count = 2), CAMRILL_EINVAL, "a.flv");
    WRONG_IN((pair[1] = "gopher://a/b/c", in.inputs = pair, in.input_count = 2), CAMRILL_EINVAL, "gopher");
    WRONG_IN(in.retry.longest_ms = 19, CAMRILL_EINVAL, "retry.first_ms is 20");
    CHECK(i == no_ingest && r.freed == 0);
#define WRONG_OUT(change, code, word)                           \
    do {                                                        \
        out = forward_config(&r, h, "a", url);                  \
        change;                                                 \
        EQ(camrill_forward_new(h->engine, &out, &f), code);     \
        CHECK(strstr(why(h->engine), word) != NULL);            \
    } while (0)
    WRONG_OUT(out.struct_size = 0, CAMRILL_EINVAL, "struct_size");
    WRONG_OUT(out.struct_size = (uint32_t)offsetof(camrill_forward_config_t, url), CAMRILL_EINVAL, "url is NULL");
    WRONG_OUT(out.flags = 1, CAMRILL_EINVAL, "flags is 1");
    WRONG_OUT(out.app = "", CAMRILL_EINVAL, "app is \"\"");
    WRONG_OUT(out.name = NULL, CAMRILL_EINVAL, "name is NULL");
    WRONG_OUT(out.url = "\xff", CAMRILL_EINVAL, "UTF-8");
    WRONG_OUT(out.url = "http://127.0.0.1/live/a", CAMRILL_EINVAL, "http://127.0.0.1/live/a");
    WRONG_OUT(out.url = "rtmp://127.0.0.1:99999/live/a", CAMRILL_EINVAL, "port");
    WRONG_OUT(out.retry.longest_ms = 1, CAMRILL_EINVAL, "retry.longest_ms");
    CHECK(f == no_forward && r.freed == 0);
    EQ(camrill_relays(h->engine, NULL, 0), 0);

    /* A vhost that isn't there, and a stream that has an ingest. */
    EQ(camrill_config_load_text(h->engine, "x", "vhost one.example { }"), 0);
    EQ(camrill_config_apply(h->engine), 0);
    WRONG_IN(in.vhost = "other.example", CAMRILL_ENOENT, "other.example");
    WRONG_OUT(out.vhost = "other.example", CAMRILL_ENOENT, "other.example");
    in = ingest_config(&r, h, "a", &url);
    in.vhost = "one.example";
    in.struct_size = (uint32_t)offsetof(camrill_ingest_config_t, retry) + 4;
    EQ(camrill_ingest_new(h->engine, &in, &i), 0);
    CHECK(i != no_ingest);
    EQ(camrill_ingest_new(h->engine, &in, &i), CAMRILL_EBUSY);
    CHECK(strstr(why(h->engine), "live/a") != NULL);

    /* What is asked. */
    info.struct_size = sizeof info;
    EQ(camrill_relays(NULL, ids, 4), CAMRILL_EINVAL);
    EQ(camrill_relays(h->engine, NULL, 4), CAMRILL_EINVAL);
    EQ(camrill_relays(h->engine, NULL, 0), 1);
    ids[0] = ids[1] = 7;
    EQ(camrill_relays(h->engine, ids, 4), 1);
    CHECK(ids[0] != 7 && ids[0] != 0 && ids[1] == 7);
    EQ(camrill_relay_info(NULL, ids[0], &info), CAMRILL_EINVAL);
    EQ(camrill_relay_info(h->engine, ids[0], NULL), CAMRILL_EINVAL);
    EQ(camrill_relay_info(h->engine, 0, &info), CAMRILL_ENOENT);
    EQ(camrill_relay_info(h->engine, ids[0] + 1, &info), CAMRILL_ENOENT);
    EQ(camrill_ingest_info(NULL, &info), CAMRILL_EINVAL);
    EQ_TEXT(why(NULL), "ingest is NULL");
    EQ(camrill_forward_info(NULL, &info), CAMRILL_EINVAL);
    EQ_TEXT(why(NULL), "forward is NULL");
    EQ(camrill_ingest_info(i, NULL), CAMRILL_EINVAL);
    EQ(camrill_ingest_info(i, &info), 0);
    EQ(info.id, ids[0]);
    EQ_TEXT(info.vhost, "one.example");
    /* As much as an older program knows, and no more. */
    memset(&info, 0x5a, sizeof info);
    info.struct_size = 12;
    EQ(camrill_relay_info(h->engine, ids[0], &info), 0);
    EQ(info.id, ids[0]);
    EQ(info.direction, 0x5a5a5a5a);

    camrill_ingest_free(NULL);
    camrill_forward_free(NULL);
    camrill_ingest_free(i);
    EQ(camrill_relay_info(h->engine, ids[0], &info), CAMRILL_ENOENT);
    EQ(camrill_relays(h->engine, NULL, 0), 0);
    end();
    EQ(r.freed, 0); /* cut off with its struct */
}

/* The media of two players but metadata, which each server makes anew. */
static void same_media(const struct rtmp *a, const struct rtmp *b)
{
    int i = 0, j = 0;
    for (;; i++, j++) {
        while (i < a->count && a->media[i].type == 18)
            i++;
        while (j < b->count && b->media[j].type == 18)
            j++;
        if (i == a->count || j == b->count)
            break;
        EQ(a->media[i].type, b->media[j].type);
        EQ(a->media[i].time, b->media[j].time);
        EQ(a->media[i].size, b->media[j].size);
        EQ(a->media[i].hash, b->media[j].hash);
    }
    EQ(i, a->count);
    EQ(j, b->count);
}

/* From a camera's engine to a server, and from there to another one: each frame as it was. */
static void through_three_engines(void)
{
    struct relay out, in;
    struct camera c;
    camrill_relay_info_t info;
    camrill_stream_info_t stream;
    camrill_id_t ids[2];
    char here[128];
    int i;

    start(3, 0);
    forward(&out, &hosts[0], "a", url_of(&hosts[1], "b?token=secret"));
    ingest(&in, &hosts[2], "c", url_of(&hosts[1], "b"));
    clients[0] = rtmp_open(hosts[0].port, "live", "a", 0);
    clients[1] = rtmp_open(hosts[2].port, "live", "c", 0);
    SOON(clients[0]->state == RTMP_GOING && clients[1]->state == RTMP_GOING);
    info = info_of(&out);
    EQ(info.state, CAMRILL_RELAY_IDLE);
    EQ(info.starts + info.failures, 0);
    EQ(out.count, 0);
    EQ(camera_new(&c, &hosts[0], "a"), 0);
    for (i = 0; i < 50; i++) {
        EQ(camera_video(&c, i % 25 == 0, i % 25 == 0 ? 3000 : 200, (uint8_t)i), 0);
        turn();
    }
    SOON(clients[0]->video == 50 && clients[1]->video == 50);
    same_media(clients[0], clients[1]);
    check_states(&out, "cr");
    check_states(&in, "cr");
    keep(here, sizeof here, url_of(&hosts[1], "b"));
    EQ_TEXT(last(&out)->url, here);
    EQ_TEXT(last(&in)->url, here);
    EQ(hosts[1].counts[CAMRILL_EVENT_FORWARD] + hosts[0].counts[CAMRILL_EVENT_FORWARD], 0);
    EQ(hosts[1].counts[CAMRILL_EVENT_PUBLISHED], 1);

    info = info_of(&out);
    EQ(info.id, out.id);
    EQ(info.state, CAMRILL_RELAY_RUNNING);
    EQ(info.starts, 1);
    EQ(info.failures + info.skips + info.next_ms, 0);
    CHECK(info.bytes > 3000 + 49 * 200 && info.running_us > 0);
    EQ_TEXT(info.url, here);
    EQ_TEXT(info.reason, "");
    EQ_TEXT(info.vhost, "__defaultVhost__");
    EQ_TEXT(info.app, "live");
    EQ_TEXT(info.name, "a");
    stream.struct_size = sizeof stream;
    EQ(camrill_stream_info(hosts[0].engine, info.stream, &stream), 0);
    EQ_TEXT(stream.name, "a");
    info = info_of(&in);
    EQ(info.id, in.id);
    EQ(info.state, CAMRILL_RELAY_RUNNING);
    CHECK(info.bytes > 3000 + 49 * 200 && info.running_us > 0);
    EQ_TEXT(info.name, "c");
    EQ(camrill_stream_info(hosts[2].engine, info.stream, &stream), 0);
    EQ(stream.video_frames, 50);
    EQ(camrill_relays(hosts[2].engine, ids, 2), 1);
    EQ(ids[0], in.id);

    /* The camera ends and comes back: the forward waits for it, the ingest where it is. */
    camrill_publisher_free(c.publisher);
    SOON(is_in(&out, CAMRILL_RELAY_IDLE));
    EQ(info_of(&out).running_us, 0);
    EQ(camera_new(&c, &hosts[0], "a"), 0);
    EQ(camera_video(&c, 1, 300, 1), 0);
    SOON(clients[1]->video == 51);
    check_states(&out, "cricr");
    check_states(&in, "cr");
    EQ(info_of(&out).starts, 2);
    EQ(info_of(&in).starts, 1);

    /* The connection of the ingest ends: it makes another one. */
    EQ(camrill_client_kick(hosts[1].engine, hosts[1].last[CAMRILL_EVENT_PLAY].client), 0);
    SOON(is_in(&in, CAMRILL_RELAY_WAITING));
    check_states(&in, "crw");
    CHECK(last(&in)->reason[0] != 0 && last(&in)->next_ms >= 15 && last(&in)->next_ms <= 25);
    info = info_of(&in);
    EQ_TEXT(info.reason, last(&in)->reason);
    EQ(info.failures, 1);
    EQ(info.running_us, 0);
    SOON(is_in(&in, CAMRILL_RELAY_RUNNING));
    check_states(&in, "crwcr");
    CHECK(info_of(&in).starts == 2 && info_of(&in).bytes > info.bytes);

    /* Ended by their hosts. */
    camrill_ingest_free(in.ingest);
    EQ(in.freed, 0);
    SOON(in.freed);
    EQ(last(&in)->state, CAMRILL_RELAY_ENDED);
    EQ_TEXT(last(&in)->reason, "");
    EQ(hosts[2].counts[CAMRILL_EVENT_UNPUBLISHED], 2);
    camrill_forward_free(out.forward);
    SOON(out.freed);
    check_states(&out, "cricre");
    SOON(hosts[1].counts[CAMRILL_EVENT_UNPUBLISHED] == 2);
    EQ(camrill_relays(hosts[0].engine, NULL, 0) + camrill_relays(hosts[2].engine, NULL, 0), 0);
    info.struct_size = sizeof info;
    EQ(camrill_relay_info(hosts[0].engine, out.id, &info), CAMRILL_ENOENT);
    camrill_publisher_free(c.publisher);
    close_client(0);
    close_client(1);
    end();
    EQ(out.freed + in.freed, 2);
}

static int32_t with_a_reason(struct host *h, const camrill_admission_t *request)
{
    if (request->action == CAMRILL_ACTION_PUBLISH)
        EQ(camrill_auth_reply(h->engine, request->ticket, CAMRILL_DENY, "The archive is full."), 0);
    return CAMRILL_ALLOW;
}

/* The server's own words, and an end after the tries that were asked for. */
static void a_refused_publish(void)
{
    camrill_relay_info_t info;
    struct relay out;
    struct camera c;
    camrill_forward_config_t config;
    int i;

    start(1, 0);
    host_start(&hosts[running++], CAMRILL_ALLOW);
    hosts[1].on_admission = with_a_reason;
    EQ(camera_new(&c, &hosts[0], "a"), 0);
    config = forward_config(&out, &hosts[0], "a", url_of(&hosts[1], "a"));
    config.retry.tries = 3;
    EQ(camrill_forward_new(hosts[0].engine, &config, &out.forward), 0);
    SOON(is_in(&out, CAMRILL_RELAY_ENDED));
    check_states(&out, "cwcwce");
    for (i = 1; i < out.count; i += 2)
        CHECK(strstr(out.states[i].reason, "The archive is full.") != NULL);
    EQ(info_of(&out).state, CAMRILL_RELAY_ENDED);
    EQ(info_of(&out).failures, 3);
    EQ(info_of(&out).starts, 0);
    info = info_of(&out);
    EQ_TEXT(info.reason, last(&out)->reason);
    CHECK(strstr(hosts[0].log, "giving up") != NULL);
    /* It has ended, and is there until it is freed; it says so once. */
    camrill_forward_free(out.forward);
    SOON(out.freed);
    check_states(&out, "cwcwce");
    camrill_publisher_free(c.publisher);
    end();
}

/* Only while somebody watches. */
static void on_demand(void)
{
    struct relay in;
    struct camera c;
    camrill_ingest_config_t config;
    const char *url;
    int round;

    start(2, 0);
    EQ(camera_new(&c, &hosts[0], "a"), 0);
    EQ(camera_video(&c, 1, 100, 1), 0);
    url = url_of(&hosts[0], "a");
    config = ingest_config(&in, &hosts[1], "a", &url);
    config.flags = CAMRILL_INGEST_ON_DEMAND;
    config.linger_ms = 1;
    EQ(camrill_ingest_new(hosts[1].engine, &config, &in.ingest), 0);
    turn();
    EQ(info_of(&in).state, CAMRILL_RELAY_IDLE);
    EQ(in.count, 0);
    for (round = 1; round <= 2; round++) {
        clients[0] = rtmp_open(hosts[1].port, "live", "a", 0);
        SOON(clients[0]->video > 0);
        EQ(info_of(&in).starts, round);
        close_client(0);
        SOON(is_in(&in, CAMRILL_RELAY_IDLE));
    }
    check_states(&in, "cricri");
    camrill_ingest_free(in.ingest);
    SOON(in.freed);
    check_states(&in, "cricrie");
    camrill_publisher_free(c.publisher);
    end();
}

/* The next URL at once, and files one after another. */
static void several_inputs(void)
{
    struct relay in;
    struct camera c;
    camrill_ingest_config_t config;
    const char *inputs[2] = {"rtmp://127.0.0.1:1/live/a", NULL};
    const char *file = "/nowhere/clip.flv";

    start(2, 0);
    EQ(camera_new(&c, &hosts[0], "a"), 0);
    EQ(camera_video(&c, 1, 100, 1), 0);
    inputs[1] = url_of(&hosts[0], "a");
    config = ingest_config(&in, &hosts[1], "a", inputs);
    config.input_count = 2;
    EQ(camrill_ingest_new(hosts[1].engine, &config, &in.ingest), 0);
    /* What the config pointed to is no longer needed. */
    inputs[0] = inputs[1] = NULL;
    SOON(is_in(&in, CAMRILL_RELAY_RUNNING));
    check_states(&in, "cr");
    EQ_TEXT(last(&in)->url, url_of(&hosts[0], "a"));
    EQ(info_of(&in).failures, 0);
    camrill_ingest_free(in.ingest);
    SOON(in.freed);

    config = ingest_config(&in, &hosts[1], "a", &file);
    config.flags = CAMRILL_INGEST_LOOP;
    EQ(camrill_ingest_new(hosts[1].engine, &config, &in.ingest), 0);
    SOON(in.count >= 1);
    EQ(in.states[0].state, CAMRILL_RELAY_WAITING);
    CHECK(strstr(in.states[0].reason, "No such file") != NULL);
    EQ_TEXT(in.states[0].url, file);
    camrill_ingest_free(in.ingest);
    camrill_publisher_free(c.publisher);
    end();
    EQ(in.freed, 1);
}

/* Where it is freed. */
static int32_t doomed;
static struct relay other;

static void free_self(struct relay *r, const camrill_relay_state_t *state)
{
    if (state->state != doomed)
        return;
    r->on_state = NULL;
    if (r->ingest != NULL)
        camrill_ingest_free(r->ingest);
    else
        camrill_forward_free(r->forward);
    EQ(r->freed, 0);
    /* Another one, from in here. */
    ingest(&other, r->host, "other", "rtmp://127.0.0.1:1/live/a");
}

static void free_engine(struct relay *r, const camrill_relay_state_t *state)
{
    camrill_relay_info_t info;
    if (state->state != doomed || r->host->given_up)
        return;
    r->host->given_up = 1;
    camrill_engine_free(r->host->engine);
    EQ(r->freed + r->host->freed, 0);
    info.struct_size = sizeof info;
    EQ(camrill_relay_info(r->host->engine, r->id, &info), CAMRILL_ESTATE);
    EQ(camrill_ingest_info(r->ingest, &info), CAMRILL_ESTATE);
}

static void freed_inside_callbacks(void)
{
    static const int32_t states[] = {CAMRILL_RELAY_CONNECTING, CAMRILL_RELAY_RUNNING, CAMRILL_RELAY_WAITING};
    struct relay r;
    struct camera c;
    camrill_relay_info_t info;
    size_t i;

    info.struct_size = sizeof info;
    for (i = 0; i < 3 * COUNT(states); i++) {
        const char *nowhere = "rtmp://127.0.0.1:1/live/b";
        start(2, 0);
        doomed = states[i % 3];
        EQ(camera_new(&c, &hosts[0], "b"), 0);
        EQ(camera_video(&c, 1, 100, 1), 0);
        memset(&other, 0, sizeof other);
        if (i / 3 == 1)
            forward(&r, &hosts[0], "b", doomed == CAMRILL_RELAY_WAITING ? nowhere : url_of(&hosts[1], "b"));
        else
            ingest(&r, &hosts[1], "a", doomed == CAMRILL_RELAY_WAITING ? nowhere : url_of(&hosts[0], "b"));
        r.on_state = i / 3 == 2 ? free_engine : free_self;
        if (i / 3 == 2) {
            /* The last of them: the others go on. */
            while (!hosts[1].freed) {
                CHECK(camrill_engine_poll(hosts[0].engine, 0) >= 0);
                CHECK(camrill_engine_poll(hosts[1].engine, 1) >= 0);
            }
            EQ(r.freed, 1);
            EQ(hosts[1].after, 0);
            EQ(camrill_ingest_info(r.ingest, &info), CAMRILL_ESTATE);
            EQ_TEXT(why(NULL), "the engine has been freed");
            camrill_ingest_free(r.ingest);
            running = 1;
        } else {
            SOON(r.freed);
            EQ(last(&r)->state, CAMRILL_RELAY_ENDED);
            SOON(is_in(&other, CAMRILL_RELAY_WAITING));
        }
        camrill_publisher_free(c.publisher);
        end();
        EQ(r.freed, 1);
        if (i / 3 < 2) {
            EQ(other.freed, 1);
            camrill_ingest_free(other.ingest);
        }
    }
}

/* The engine first: user_free has run, and the handles only wait to be given back. */
static void after_the_engine(void)
{
    struct relay in, out;
    camrill_relay_info_t info;

    start(1, 0);
    ingest(&in, &hosts[0], "a", "rtmp://127.0.0.1:1/live/a");
    forward(&out, &hosts[0], "a", "rtmp://127.0.0.1:1/live/a");
    end();
    EQ(in.freed, 1);
    EQ(out.freed, 1);
    info.struct_size = sizeof info;
    EQ(camrill_ingest_info(in.ingest, &info), CAMRILL_ESTATE);
    EQ(camrill_forward_info(out.forward, &info), CAMRILL_ESTATE);
    camrill_ingest_free(in.ingest);
    camrill_forward_free(out.forward);
    EQ(in.freed, 1);
    EQ(out.freed, 1);

    /* Both at once, without a poll between. */
    start(1, 0);
    ingest(&in, &hosts[0], "a", "rtmp://127.0.0.1:1/live/a");
    camrill_ingest_free(in.ingest);
    end();
    EQ(in.freed, 1);
}

/* Those of the configuration, and those without on_state: the engine's on_event. */
static void told_as_events(void)
{
    struct host *h = &hosts[0];
    struct relay r;
    struct camera c;
    struct seen *s;
    camrill_ingest_config_t in;
    camrill_forward_config_t out;
    camrill_relay_info_t info;
    const char *url = "rtmp://u:p@127.0.0.1:1/live/a?token=x";
    camrill_ingest_t *i;
    camrill_forward_t *f;
    camrill_id_t ids[2];

    start(1, 0);
#define CLIP "vhost/__defaultVhost__/ingest/clip/"
    EQ(camrill_config_set(h->engine, CLIP "enabled", "on"), 0);
    EQ(camrill_config_set(h->engine, CLIP "input/type", "file"), 0);
    EQ(camrill_config_set(h->engine, CLIP "input/url", "/nowhere/clip.flv"), 0);
    EQ(camrill_config_apply(h->engine), 0);
    SOON(h->counts[CAMRILL_EVENT_INGEST] == 1);
    s = &h->last[CAMRILL_EVENT_INGEST];
    EQ(s->state, CAMRILL_RELAY_WAITING);
    CHECK(s->relay != 0 && s->next_ms > 0 && s->client == 0 && s->stream == 0);
    CHECK(strstr(s->reason, "No such file") != NULL);
    EQ_TEXT(s->url, "/nowhere/clip.flv");
    EQ_TEXT(s->app, "live");
    EQ_TEXT(s->name, "clip");
    EQ_TEXT(s->path, "");
    EQ(camrill_relays(h->engine, ids, 2), 1);
    EQ(ids[0], s->relay);
    info.struct_size = sizeof info;
    EQ(camrill_relay_info(h->engine, ids[0], &info), 0);
    EQ(info.state, CAMRILL_RELAY_WAITING);
    EQ(info.failures, 1);
    /* A reload takes it out. */
    EQ(camrill_config_set(h->engine, CLIP "enabled", "off"), 0);
    EQ(camrill_config_apply(h->engine), 0);
    SOON(h->counts[CAMRILL_EVENT_INGEST] == 2);
    EQ(s->state, CAMRILL_RELAY_ENDED);
    EQ(s->relay, ids[0]);
    EQ_TEXT(s->reason, "");
    EQ(camrill_relay_info(h->engine, ids[0], &info), CAMRILL_ENOENT);

    in = ingest_config(&r, h, "a", &url);
    in.on_state = NULL;
    in.retry.first_ms = in.retry.longest_ms = 60000;
    EQ(camrill_ingest_new(h->engine, &in, &i), 0);
    SOON(s->state == CAMRILL_RELAY_WAITING);
    EQ(h->counts[CAMRILL_EVENT_INGEST], 4);
    CHECK(s->next_ms >= 45000 && s->next_ms <= 75000);
    CHECK(strstr(s->reason, "refused") != NULL);
    EQ_TEXT(s->url, "rtmp://127.0.0.1:1/live/a");
    camrill_ingest_free(i);
    SOON(r.freed);
    EQ(s->state, CAMRILL_RELAY_ENDED);

    EQ(camera_new(&c, h, "a"), 0);
    out = forward_config(&r, h, "a", url);
    out.on_state = NULL;
    EQ(camrill_forward_new(h->engine, &out, &f), 0);
    s = &h->last[CAMRILL_EVENT_FORWARD];
    SOON(s->state == CAMRILL_RELAY_WAITING);
    CHECK(strstr(s->reason, "refused") != NULL && s->stream != 0);
    /* Both have numbers of their own. */
    EQ(camrill_ingest_new(h->engine, &in, &i), 0);
    EQ(camrill_relays(h->engine, ids, 2), 2);
    CHECK(ids[0] != ids[1]);
    EQ(camrill_relay_info(h->engine, ids[0], &info), 0);
    EQ(info.direction, CAMRILL_RELAY_INGEST);
    EQ(camrill_relay_info(h->engine, ids[1], &info), 0);
    EQ(info.direction, CAMRILL_RELAY_FORWARD);
    camrill_publisher_free(c.publisher);
    end();
    EQ(r.freed, 2);
    camrill_ingest_free(i);
    camrill_forward_free(f);
}

/* The host's own resolver. */
static struct asked {
    camrill_id_t ticket;
    char host[64];
    uint16_t port;
    int count;
} asked;
static const char *answer; /* given at once, unless NULL */

static void on_resolve(void *user, camrill_id_t ticket, const char *host, uint16_t port)
{
    struct host *h = user;
    CHECK(!h->freed && ticket != 0);
    asked.ticket = ticket;
    asked.port = port;
    asked.count++;
    keep(asked.host, sizeof asked.host, host);
    if (answer != NULL)
        EQ(camrill_resolve_reply(h->engine, ticket, answer), 0);
}

static void start_with_names(void)
{
    camrill_engine_config_t config = CAMRILL_ENGINE_CONFIG_INIT;
    start(1, 0);
    memset(&hosts[1], 0, sizeof hosts[1]);
    config.user = &hosts[1];
    config.user_free = host_freed;
    config.on_log = host_on_log;
    config.on_event = host_on_event;
    config.on_resolve = on_resolve;
    EQ(camrill_engine_new(&config, &hosts[1].engine), 0);
    running = 2;
    memset(&asked, 0, sizeof asked);
    answer = NULL;
}

static void names_by_the_host(void)
{
    struct relay r;
    struct camera c;
    camrill_ingest_config_t config;
    char url[128], many[256] = "127.0.0.1";
    const char *pointer = url;
    camrill_id_t stale;
    int i;

    start_with_names();
    EQ(camera_new(&c, &hosts[0], "a"), 0);
    EQ(camera_video(&c, 1, 100, 1), 0);
    snprintf(url, sizeof url, "rtmp://cam.example:%d/live/a", (int)hosts[0].port);
    EQ(camrill_resolve_reply(NULL, 1, "127.0.0.1"), CAMRILL_EINVAL);
    EQ(camrill_resolve_reply(hosts[1].engine, 1, "127.0.0.1"), CAMRILL_ENOENT);

    /* At once, in the callback. The first address refuses. */
    answer = "127.0.0.77, 127.0.0.1";
    ingest(&r, &hosts[1], "a", url);
    SOON(is_in(&r, CAMRILL_RELAY_RUNNING));
    EQ(asked.count, 1);
    EQ_TEXT(asked.host, "cam.example");
    EQ(asked.port, hosts[0].port);
    check_states(&r, "cr");
    EQ(camrill_resolve_reply(hosts[1].engine, asked.ticket, answer), CAMRILL_ENOENT);
    camrill_ingest_free(r.ingest);
    SOON(r.freed);

    /* Later, after wrong ones. */
    answer = NULL;
    asked.count = 0;
    ingest(&r, &hosts[1], "a", url);
    SOON(asked.count == 1);
    for (i = 0; i < 20; i++)
        turn();
    check_states(&r, "c");
    EQ(camrill_resolve_reply(hosts[1].engine, asked.ticket, "localhost"), CAMRILL_EINVAL);
    CHECK(strstr(why(hosts[1].engine), "\"localhost\" is no address") != NULL);
    EQ(camrill_resolve_reply(hosts[1].engine, asked.ticket, "127.0.0.1,"), CAMRILL_EINVAL);
    EQ(camrill_resolve_reply(hosts[1].engine, asked.ticket, "127.0.0.1:80"), CAMRILL_EINVAL);
    EQ(camrill_resolve_reply(hosts[1].engine, asked.ticket, "\xff"), CAMRILL_EINVAL);
    for (i = 1; i < 17; i++)
        strcat(many, ",127.0.0.1");
    EQ(camrill_resolve_reply(hosts[1].engine, asked.ticket, many), CAMRILL_EINVAL);
    CHECK(strstr(why(hosts[1].engine), "more than 16") != NULL);
    EQ(camrill_resolve_reply(hosts[1].engine, asked.ticket + 1, "127.0.0.1"), CAMRILL_ENOENT);
    many[strlen(many) - strlen(",127.0.0.1")] = 0;
    EQ(camrill_resolve_reply(hosts[1].engine, asked.ticket, many), 0);
    SOON(is_in(&r, CAMRILL_RELAY_RUNNING));
    camrill_ingest_free(r.ingest);
    SOON(r.freed);

    /* Not known: NULL, and nothing. */
    for (i = 0; i < 2; i++) {
        asked.count = 0;
        ingest(&r, &hosts[1], "a", url);
        SOON(asked.count == 1);
        EQ(camrill_resolve_reply(hosts[1].engine, asked.ticket, i == 0 ? NULL : ""), 0);
        SOON(is_in(&r, CAMRILL_RELAY_WAITING));
        CHECK(strstr(last(&r)->reason, "cam.example") != NULL);
        CHECK(strstr(last(&r)->reason, "no address is known") != NULL);
        camrill_ingest_free(r.ingest);
        SOON(r.freed);
    }

    /* In the host's order: the last one that failed is the reason. */
    answer = "127.0.0.2,127.0.0.3,::1";
    ingest(&r, &hosts[1], "a", "rtmp://cam.example:1/live/a");
    SOON(is_in(&r, CAMRILL_RELAY_WAITING));
    CHECK(strstr(last(&r)->reason, "[::1]:1: ") != NULL);
    camrill_ingest_free(r.ingest);
    SOON(r.freed);
    answer = NULL;

    /* Never. It is asked again when it is tried again; what was asked before is stale. */
    asked.count = 0;
    config = ingest_config(&r, &hosts[1], "a", &pointer);
    config.retry.connect_ms = 30;
    EQ(camrill_ingest_new(hosts[1].engine, &config, &r.ingest), 0);
    SOON(is_in(&r, CAMRILL_RELAY_WAITING));
    CHECK(strstr(last(&r)->reason, "no address of cam.example") != NULL);
    EQ(asked.count, 1);
    stale = asked.ticket;
    SOON(asked.count == 2);
    CHECK(asked.ticket != stale);
    EQ(camrill_resolve_reply(hosts[1].engine, stale, "127.0.0.1"), CAMRILL_ENOENT);
    camrill_ingest_free(r.ingest);
    EQ(camrill_resolve_reply(hosts[1].engine, asked.ticket, "127.0.0.1"), CAMRILL_ENOENT);

    /* Of a URL that has an address nobody is asked. */
    asked.count = 0;
    ingest(&other, &hosts[1], "b", url_of(&hosts[0], "a"));
    SOON(is_in(&other, CAMRILL_RELAY_RUNNING));
    EQ(asked.count, 0);
    /* Not answered when the engine goes. */
    ingest(&r, &hosts[1], "a", url);
    SOON(asked.count == 1);
    camrill_publisher_free(c.publisher);
    end();
    EQ(r.freed, 1);
    EQ(other.freed, 1);
    camrill_ingest_free(r.ingest);
    camrill_ingest_free(other.ingest);
}

/* The system's resolver, which takes its time over one name. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t let_go = PTHREAD_COND_INITIALIZER;
static int held, lookups;

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
    int (*system_s)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    if (node != NULL && strcmp(node, "slow.example") == 0) {
        pthread_mutex_lock(&lock);
        lookups++;
        while (held)
            pthread_cond_wait(&let_go, &lock);
        pthread_mutex_unlock(&lock);
        return EAI_NONAME;
    }
    *(void **)&system_s = dlsym(RTLD_NEXT, "getaddrinfo");
    return system_s(node, service, hints, out);
}

static int looked_up(void)
{
    int count;
    pthread_mutex_lock(&lock);
    count = lookups;
    pthread_mutex_unlock(&lock);
    return count;
}

static void hold(int on)
{
    pthread_mutex_lock(&lock);
    held = on;
    lookups = 0;
    pthread_cond_broadcast(&let_go);
    pthread_mutex_unlock(&lock);
}

static int threads(void)
{
    DIR *folder = opendir("/proc/self/task");
    int count = 0;
    CHECK(folder != NULL);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

/* Threads are there while names are looked up, and gone after: also where their engine went before. */
static void names_by_the_system(void)
{
    struct relay r;
    struct camera c;
    char url[64];
    int before = threads();
    int64_t began;

    start(2, 0);
    EQ(camera_new(&c, &hosts[0], "a"), 0);
    EQ(camera_video(&c, 1, 100, 1), 0);
    snprintf(url, sizeof url, "rtmp://localhost:%d/live/a", (int)hosts[0].port);
    ingest(&r, &hosts[1], "a", url);
    SOON(is_in(&r, CAMRILL_RELAY_RUNNING));
    SOON(threads() == before);
    camrill_ingest_free(r.ingest);
    SOON(r.freed);

    /* The loop goes on while a name takes long, and others don't wait for it. */
    hold(1);
    ingest(&r, &hosts[1], "slow", "rtmp://slow.example/live/a");
    SOON(looked_up() == 1);
    ingest(&other, &hosts[1], "a", url);
    SOON(is_in(&other, CAMRILL_RELAY_RUNNING));
    check_states(&r, "c");
    CHECK(threads() > before);
    hold(0);
    SOON(is_in(&r, CAMRILL_RELAY_WAITING));
    CHECK(strstr(last(&r)->reason, "slow.example") != NULL);
    camrill_ingest_free(other.ingest);

    /* The engine is freed meanwhile: at once, and the thread ends by itself. */
    hold(1);
    SOON(looked_up() == 1);
    began = now_ms();
    camrill_publisher_free(c.publisher);
    end();
    CHECK(now_ms() - began < 5000);
    EQ(r.freed, 1);
    EQ(other.freed, 1);
    camrill_ingest_free(r.ingest);
    hold(0);
    while (threads() > before)
        usleep(1000);
}

/* A child can do nothing with them but give them back, also while a name is looked up. */
static void in_a_forked_child(void)
{
    struct relay in, out;
    int before = threads(), status;
    pid_t child;

    start(1, 0);
    hold(1);
    ingest(&in, &hosts[0], "a", "rtmp://slow.example/live/a");
    forward(&out, &hosts[0], "a", "rtmp://127.0.0.1:1/live/a");
    SOON(looked_up() == 1);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        camrill_relay_info_t info;
        camrill_ingest_t *i = NULL;
        const char *url = "rtmp://127.0.0.1:1/live/b";
        struct relay r;
        camrill_ingest_config_t config = ingest_config(&r, &hosts[0], "b", &url);
        info.struct_size = sizeof info;
        EQ(camrill_ingest_new(hosts[0].engine, &config, &i), CAMRILL_EFORKED);
        EQ(camrill_ingest_info(in.ingest, &info), CAMRILL_EFORKED);
        EQ(camrill_relays(hosts[0].engine, NULL, 0), CAMRILL_EFORKED);
        EQ(camrill_resolve_reply(hosts[0].engine, 1, NULL), CAMRILL_EFORKED);
        camrill_ingest_free(in.ingest);
        EQ(in.freed, 0);
        end();
        EQ(in.freed, 1);
        EQ(out.freed, 1);
        camrill_forward_free(out.forward);
        /* What is its parent's is no leak of its own. */
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    EQ(in.freed + out.freed, 0);
    hold(0);
    SOON(is_in(&in, CAMRILL_RELAY_WAITING));
    camrill_forward_free(out.forward);
    camrill_ingest_free(in.ingest);
    SOON(in.freed && out.freed);
    end();
    while (threads() > before)
        usleep(1000);
}

int main(void)
{
    RUN(arguments);
    RUN(through_three_engines);
    RUN(a_refused_publish);
    RUN(on_demand);
    RUN(several_inputs);
    RUN(freed_inside_callbacks);
    RUN(after_the_engine);
    RUN(told_as_events);
    RUN(names_by_the_host);
    RUN(names_by_the_system);
    RUN(in_a_forked_child);
    return 0;
}
