/* Clients of the network: who may, who is there, kicks, ids that end, and calls from inside callbacks. */
#include "rtmp.h"

#include <signal.h>

/* A keyframe's FLV body with its sequence header before it, as an encoder on the network sends them. */
static void publish_frames(struct rtmp *c, int count)
{
    static const uint8_t header[] = {
        0x17, 0, 0, 0, 0, 1, 0x64, 0, 0x1e, 0xff, 0xe1, 0, 25, 0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9, 0x40, 0xa0,
        0x2f, 0xf9, 0x61, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00, 0x00, 0x03, 0x00, 0x32, 0x0f, 0x16, 0x2d, 0x96, 1,
        0, 6, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0,
    };
    static const uint8_t frame[] = {0x17, 1, 0, 0, 0, 0, 0, 0, 4, 0x65, 1, 2, 3};
    int i;
    rtmp_send(c, 6, 9, 1, 0, header, sizeof header);
    for (i = 0; i < count; i++)
        rtmp_send(c, 6, 9, 1, (uint32_t)i * 40, frame, sizeof frame);
}

static void events_tell_all(void)
{
    struct host h;
    struct rtmp *player, *publisher;
    struct seen *s;
    camrill_client_info_t info;
    camrill_stream_info_t stream;
    camrill_stats_t stats;
    camrill_id_t ids[4], client, stream_id;

    host_start(&h, 0);
    player = rtmp_open(h.port, "live", "cam?token=abc", 0);
    UNTIL(&h, player, player->state == RTMP_GOING);
    EQ(h.counts[CAMRILL_EVENT_CONNECTED], 1);
    EQ(h.counts[CAMRILL_EVENT_PLAY], 1);
    s = &h.last[CAMRILL_EVENT_PLAY];
    EQ_TEXT(s->vhost, "__defaultVhost__");
    EQ_TEXT(s->app, "live");
    EQ_TEXT(s->name, "cam");
    EQ_TEXT(s->param, "token=abc");
    CHECK(strncmp(s->address, "127.0.0.1:", 10) == 0);
    EQ_TEXT(s->reason, "");
    client = s->client;
    stream_id = s->stream;
    EQ(h.last[CAMRILL_EVENT_CONNECTED].client, client);
    EQ(h.last[CAMRILL_EVENT_CONNECTED].stream, 0);

    publisher = rtmp_open(h.port, "live", "cam", 1);
    UNTIL2(&h, publisher, player, publisher->state == RTMP_GOING);
    publish_frames(publisher, 3);
    UNTIL2(&h, publisher, player, player->video == 3);
    EQ(h.last[CAMRILL_EVENT_PUBLISHED].stream, stream_id);
    EQ(camrill_clients(h.engine, ids, 4), 2);
    EQ(camrill_streams(h.engine, ids, 1), 1);
    EQ(ids[0], stream_id);

    info.struct_size = sizeof info;
    EQ(camrill_client_info(h.engine, client, &info), 0);
    EQ(info.id, client);
    EQ(info.doing, CAMRILL_CLIENT_PLAYING);
    EQ(info.stream, stream_id);
    EQ_TEXT(info.address, s->address);
    EQ_TEXT(info.app, "live");
    EQ_TEXT(info.name, "cam");
    CHECK(info.received_bytes > 3073 && info.sent_bytes > 3073);
    EQ(camrill_client_info(h.engine, h.last[CAMRILL_EVENT_PUBLISHED].client, &info), 0);
    EQ(info.doing, CAMRILL_CLIENT_PUBLISHING);
    stream.struct_size = sizeof stream;
    EQ(camrill_stream_info(h.engine, stream_id, &stream), 0);
    EQ(stream.publisher, info.id);
    EQ(stream.players, 1);
    EQ(stream.video_frames, 3);
    stats.struct_size = sizeof stats;
    EQ(camrill_stats(h.engine, &stats), 0);
    EQ(stats.connections, 2);
    EQ(stats.accepted, 2);
    EQ(stats.players, 1);
    EQ(stats.publishers, 1);
    CHECK(stats.media_bytes > 0 && stats.uptime_us > 0);
    CHECK(stats.received_bytes >= info.received_bytes && stats.sent_bytes > 0);

    rtmp_close(publisher, 0);
    UNTIL(&h, player, h.counts[CAMRILL_EVENT_CLOSED] == 1);
    EQ(h.counts[CAMRILL_EVENT_UNPUBLISHED], 1);
    CHECK(strlen(h.last[CAMRILL_EVENT_CLOSED].reason) > 0);
    EQ(camrill_client_kick(h.engine, info.id), CAMRILL_ENOENT);
    rtmp_close(player, 0);
    UNTIL(&h, NULL, h.counts[CAMRILL_EVENT_CLOSED] == 2);
    EQ(h.counts[CAMRILL_EVENT_STOP], 1);
    host_free(&h);
}

/* An id that has ended stays ended, also when another has its place. */
static void stale_ids(void)
{
    struct host h;
    camrill_id_t client = 0, stream = 0, ticket = 0;
    int i;
    host_start(&h, CAMRILL_PENDING);
    for (i = 0; i < 3; i++) {
        camrill_client_info_t info;
        camrill_stream_info_t found;
        camrill_id_t ids[2];
        struct rtmp *c = rtmp_open(h.port, "live", "a", 0);
        info.struct_size = sizeof info;
        found.struct_size = sizeof found;
        h.asked = 0;
        UNTIL(&h, c, h.asked == 1);
        EQ(h.questions[0].action, CAMRILL_ACTION_CONNECT);
        CHECK(h.questions[0].client != client && h.questions[0].ticket != ticket);
        if (i > 0)
            EQ(camrill_auth_reply(h.engine, ticket, CAMRILL_DENY, NULL), CAMRILL_ENOENT);
        EQ(camrill_auth_reply(h.engine, h.questions[0].ticket, CAMRILL_ALLOW, NULL), 0);
        EQ(camrill_auth_reply(h.engine, h.questions[0].ticket, CAMRILL_DENY, NULL), CAMRILL_ENOENT);
        UNTIL(&h, c, h.asked == 2);
        EQ(h.questions[1].action, CAMRILL_ACTION_PLAY);
        EQ(camrill_auth_reply(h.engine, h.questions[1].ticket, CAMRILL_ALLOW, NULL), 0);
        UNTIL(&h, c, c->state == RTMP_GOING);
        if (i > 0) {
            EQ(camrill_client_kick(h.engine, client), CAMRILL_ENOENT);
            EQ(camrill_client_info(h.engine, client, &info), CAMRILL_ENOENT);
            EQ(camrill_stream_info(h.engine, stream, &found), CAMRILL_ENOENT);
        }
        client = h.last[CAMRILL_EVENT_PLAY].client;
        stream = h.last[CAMRILL_EVENT_PLAY].stream;
        ticket = h.questions[1].ticket;
        EQ(camrill_clients(h.engine, ids, 2), 1);
        EQ(ids[0], client);
        EQ(camrill_client_info(h.engine, client, &info), 0);
        EQ(camrill_stream_info(h.engine, stream, &found), 0);
        rtmp_close(c, 0);
        UNTIL(&h, NULL, h.counts[CAMRILL_EVENT_CLOSED] == i + 1);
    }
    host_free(&h);
}

/* A question whose client goes away can't be answered. */
static void a_question_ends_with_its_client(void)
{
    struct host h;
    struct rtmp *c;
    camrill_stats_t stats;
    host_start(&h, CAMRILL_PENDING);
    c = rtmp_open(h.port, "live", "a", 0);
    UNTIL(&h, c, h.asked == 1);
    rtmp_close(c, 1);
    stats.struct_size = sizeof stats;
    UNTIL(&h, NULL, (camrill_stats(h.engine, &stats), stats.connections == 0));
    EQ(camrill_auth_reply(h.engine, h.questions[0].ticket, CAMRILL_ALLOW, NULL), CAMRILL_ENOENT);
    EQ(camrill_client_kick(h.engine, h.questions[0].client), CAMRILL_ENOENT);
    EQ(h.events, 0);
    /* And one that nobody ever answers ends with the engine. */
    c = rtmp_open(h.port, "live", "a", 0);
    UNTIL(&h, c, h.asked == 2);
    host_free(&h);
    rtmp_close(c, 0);
}

static int32_t deny_play(struct host *h, const camrill_admission_t *request)
{
    (void)h;
    return request->action == CAMRILL_ACTION_CONNECT ? CAMRILL_ALLOW : CAMRILL_DENY;
}

static int32_t reply_inside(struct host *h, const camrill_admission_t *request)
{
    int deny = request->action != CAMRILL_ACTION_CONNECT;
    EQ(camrill_auth_reply(h->engine, request->ticket, deny ? CAMRILL_DENY : CAMRILL_ALLOW, "Not in this house."), 0);
    EQ(camrill_auth_reply(h->engine, request->ticket, CAMRILL_ALLOW, NULL), CAMRILL_ENOENT);
    /* Whatever is answered now, the answer has been given. */
    return h->verdict;
}

static int32_t nonsense(struct host *h, const camrill_admission_t *request)
{
    (void)h, (void)request;
    return 77;
}

static int32_t kick_inside(struct host *h, const camrill_admission_t *request)
{
    EQ(camrill_client_kick(h->engine, request->client), 0);
    EQ(camrill_client_kick(h->engine, request->client), CAMRILL_ENOENT);
    return CAMRILL_ALLOW;
}

static void admission(void)
{
    static const int32_t verdicts[] = {CAMRILL_PENDING, CAMRILL_ALLOW, CAMRILL_DENY};
    struct host h;
    struct rtmp *c;
    int publishes;
    size_t i;

    host_start(&h, CAMRILL_ALLOW);
    for (publishes = 0; publishes < 2; publishes++) {
        h.asked = 0;
        c = rtmp_open(h.port, "live", "cam?token=1", publishes);
        UNTIL(&h, c, c->state == RTMP_GOING);
        EQ(h.asked, 2);
        EQ(h.questions[0].action, CAMRILL_ACTION_CONNECT);
        EQ_TEXT(h.questions[0].name, "");
        EQ_TEXT(h.questions[0].tc_url, c->tc_url);
        EQ_TEXT(h.questions[0].page_url, "http://page.example/");
        EQ(h.questions[1].action, publishes ? CAMRILL_ACTION_PUBLISH : CAMRILL_ACTION_PLAY);
        EQ_TEXT(h.questions[1].name, "cam");
        EQ_TEXT(h.questions[1].param, "token=1");
        EQ(h.questions[0].client, h.questions[1].client);
        rtmp_close(c, 0);

        h.on_admission = deny_play;
        c = rtmp_open(h.port, "live", "cam", publishes);
        UNTIL(&h, c, c->state == RTMP_REFUSED);
        EQ_TEXT(c->refusal, "Refused by the host.");
        rtmp_close(c, 0);

        h.on_admission = reply_inside;
        for (i = 0; i < COUNT(verdicts); i++) {
            h.verdict = verdicts[i];
            c = rtmp_open(h.port, "live", "cam", publishes);
            UNTIL(&h, c, c->state == RTMP_REFUSED);
            EQ_TEXT(c->refusal, "Not in this house.");
            rtmp_close(c, 0);
        }
        h.on_admission = nonsense;
        c = rtmp_open(h.port, "live", "cam", publishes);
        UNTIL(&h, c, c->state == RTMP_REFUSED);
        rtmp_close(c, 0);
        h.on_admission = NULL;
        h.verdict = CAMRILL_ALLOW;
    }
    /* Kicked while it asks: it has never been let in. */
    UNTIL(&h, NULL, h.counts[CAMRILL_EVENT_CLOSED] == h.counts[CAMRILL_EVENT_CONNECTED]);
    h.events = 0;
    h.on_admission = kick_inside;
    c = rtmp_open(h.port, "live", "cam", 0);
    UNTIL(&h, c, c->state == RTMP_CLOSED);
    EQ(h.events, 0);
    rtmp_close(c, 0);
    host_free(&h);
}

/* The client waits, the others don't. */
static void a_late_answer(void)
{
    struct host h;
    struct rtmp *slow, *other;
    camrill_id_t ticket;
    host_start(&h, CAMRILL_PENDING);
    slow = rtmp_open(h.port, "live", "a", 0);
    UNTIL(&h, slow, h.asked == 1);
    ticket = h.questions[0].ticket;
    h.verdict = CAMRILL_ALLOW;
    other = rtmp_open(h.port, "live", "a", 0);
    UNTIL2(&h, other, slow, other->state == RTMP_GOING);
    EQ(slow->state, RTMP_CONNECTING);
    h.asked = 0;
    EQ(camrill_auth_reply(h.engine, ticket, CAMRILL_ALLOW, NULL), 0);
    UNTIL(&h, slow, slow->state == RTMP_GOING);
    rtmp_close(slow, 0);
    h.verdict = CAMRILL_PENDING;
    h.asked = 0;
    slow = rtmp_open(h.port, "live", "a", 1);
    UNTIL(&h, slow, h.asked == 1);
    EQ(camrill_auth_reply(h.engine, h.questions[0].ticket, CAMRILL_DENY, "Come back later."), 0);
    UNTIL(&h, slow, slow->state == RTMP_REFUSED);
    EQ_TEXT(slow->refusal, "Come back later.");
    rtmp_close(slow, 0);
    rtmp_close(other, 0);
    host_free(&h);
}

/* Everything but poll and run may be called from inside a callback. */
static void meddle(struct host *h, const camrill_event_t *event)
{
    struct camera *cameras = h->more;
    camrill_stats_t stats;
    camrill_client_info_t info;
    camrill_id_t ids[8];
    char text[2048];
    stats.struct_size = sizeof stats;
    info.struct_size = sizeof info;
    EQ(camrill_engine_poll(h->engine, 0), CAMRILL_EREENTRANT);
    EQ(camrill_engine_run(h->engine), CAMRILL_EREENTRANT);
    EQ(camrill_stats(h->engine, &stats), 0);
    CHECK(camrill_clients(h->engine, ids, 8) >= 0 && camrill_streams(h->engine, ids, 8) >= 0);
    CHECK(camrill_engine_fd(h->engine) >= 0 && camrill_engine_timeout_ms(h->engine) >= 0);
    CHECK(camrill_engine_port(h->engine, "rtmp") == h->port);
    CHECK(camrill_config_print(h->engine, text, sizeof text) > 0);
    EQ(camrill_config_check(h->engine), 0);
    EQ(camrill_engine_wake(h->engine), 0);
    if (event->type == CAMRILL_EVENT_CONNECTED) {
        EQ(camrill_config_set(h->engine, "vhost/__defaultVhost__/play/gop_cache", "off"), 0);
        EQ(camrill_config_apply(h->engine), 0);
        EQ(camera_new(&cameras[0], h, "inside"), 0);
    } else if (event->type == CAMRILL_EVENT_PLAY) {
        EQ(camera_new(&cameras[1], h, "inside too"), 0);
        camrill_publisher_free(cameras[0].publisher);
        EQ(camrill_client_info(h->engine, event->client, &info), 0);
        EQ(camrill_client_kick(h->engine, event->client), 0);
        EQ(camrill_client_info(h->engine, event->client, &info), CAMRILL_ENOENT);
        EQ(camrill_client_kick(h->engine, event->client), CAMRILL_ENOENT);
    }
}

static void calls_inside_events(void)
{
    struct host h;
    struct camera cameras[2];
    struct rtmp *c;
    memset(cameras, 0, sizeof cameras);
    host_start(&h, 0);
    h.on_event = meddle;
    h.more = cameras;
    c = rtmp_open(h.port, "live", "a", 0);
    UNTIL(&h, c, h.counts[CAMRILL_EVENT_CLOSED] == 1);
    EQ_TEXT(h.last[CAMRILL_EVENT_CLOSED].reason, "kicked by the host");
    UNTIL(&h, c, c->state == RTMP_CLOSED && cameras[0].freed == 1);
    EQ(h.counts[CAMRILL_EVENT_PUBLISHED], 2);
    EQ(cameras[1].freed, 0);
    h.on_event = NULL;
    host_free(&h);
    EQ(cameras[1].freed, 1);
    camrill_publisher_free(cameras[1].publisher);
    EQ(cameras[1].freed, 1);
    rtmp_close(c, 0);
}

/* A client that vanishes in the middle of a play: the signal that kills programs never comes. */
static void no_sigpipe(void)
{
    struct host h;
    struct camera camera;
    struct rtmp *players[6];
    int i, abrupt;
    EQ(signal(SIGPIPE, SIG_DFL) == SIG_ERR, 0);
    host_start(&h, 0);
    EQ(camera_new(&camera, &h, "a"), 0);
    for (i = 0; i < 6; i++) {
        players[i] = rtmp_open(h.port, "live", "a", 0);
        UNTIL(&h, players[i], players[i]->state == RTMP_GOING);
    }
    EQ(camera_video(&camera, 1, 3000, 1), 0);
    EQ(camrill_engine_poll(h.engine, 100) >= 0, 1);
    for (i = 0; i < 6; i++) {
        abrupt = i % 2;
        rtmp_close(players[i], abrupt);
        EQ(camera_video(&camera, 1, 3000, 1), 0);
        CHECK(camrill_engine_poll(h.engine, 10) >= 0);
        EQ(camera_video(&camera, 0, 3000, 1), 0);
        CHECK(camrill_engine_poll(h.engine, 0) >= 0);
    }
    UNTIL(&h, NULL, h.counts[CAMRILL_EVENT_CLOSED] == 6);
    camrill_publisher_free(camera.publisher);
    host_free(&h);
}

/* max_connections: who comes after that is refused, and counted. */
static void too_many(void)
{
    struct host h;
    struct rtmp *c[3];
    camrill_stats_t stats;
    int i;
    host_start(&h, 0);
    EQ(camrill_config_set(h.engine, "max_connections", "2"), 0);
    EQ(camrill_config_apply(h.engine), 0);
    for (i = 0; i < 2; i++) {
        c[i] = rtmp_open(h.port, "live", "a", 0);
        UNTIL(&h, c[i], c[i]->state == RTMP_GOING);
    }
    c[2] = rtmp_open(h.port, "live", "a", 0);
    UNTIL(&h, c[2], c[2]->state == RTMP_CLOSED);
    stats.struct_size = sizeof stats;
    EQ(camrill_stats(h.engine, &stats), 0);
    EQ(stats.refused, 1);
    EQ(stats.connections, 2);
    for (i = 0; i < 3; i++)
        rtmp_close(c[i], 0);
    host_free(&h);
}

int main(void)
{
    RUN(events_tell_all);
    RUN(stale_ids);
    RUN(a_question_ends_with_its_client);
    RUN(admission);
    RUN(a_late_answer);
    RUN(calls_inside_events);
    RUN(no_sigpipe);
    RUN(too_many);
    return 0;
}
