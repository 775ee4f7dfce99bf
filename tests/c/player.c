/* Players: frames of this process's streams and of URLs, packets that are kept, and the ends of both. */
#include "test.h"

#include <sys/wait.h>

static struct host hosts[2];

static void turn(int count)
{
    int i;
    for (i = 0; i < count; i++)
        CHECK(camrill_engine_poll(hosts[i].engine, i == 0) >= 0);
}

/* Drives so many engines until `condition`. */
#define SOON(count, condition)                                                                     \
    do {                                                                                           \
        int64_t end_ = now_ms() + 30000;                                                           \
        while (!(condition)) {                                                                     \
            if (now_ms() > end_) {                                                                 \
                fprintf(stderr, "%s:%d: never so: %s\n%s", __FILE__, __LINE__, #condition, hosts[0].log); \
                abort();                                                                           \
            }                                                                                      \
            turn(count);                                                                           \
        }                                                                                          \
    } while (0)

/* A player, and what it was given: kept packets with what they are. */
struct played {
    struct host *host;
    camrill_player_t *player;
    camrill_packet_t *packets[64];
    camrill_packet_info_t infos[64];
    int count, tracks, states, freed;
    int video, audio;
    int32_t state;
    uint32_t width, height, config_size;
    char reason[128], url[128];
    void (*on_packet)(struct played *);
    void (*on_tracks)(struct played *);
    void (*on_state)(struct played *);
};

static void keep_tracks(void *user, const camrill_track_info_t *video, const camrill_track_info_t *audio)
{
    struct played *p = user;
    CHECK(!p->freed && !p->host->freed);
    p->host->after += p->host->given_up;
    p->tracks++;
    p->video = video != NULL;
    p->audio = audio != NULL;
    if (video != NULL) {
        EQ(video->struct_size, sizeof *video);
        EQ(video->codec, CAMRILL_CODEC_H264);
        CHECK(video->config != NULL && video->config[0] == 1);
        p->width = video->width;
        p->height = video->height;
        p->config_size = (uint32_t)video->config_size;
    }
    if (p->on_tracks != NULL)
        p->on_tracks(p);
}

static void keep_packet(void *user, camrill_packet_t *packet)
{
    struct played *p = user;
    CHECK(!p->freed && !p->host->freed && p->tracks > 0 && p->count < 64);
    p->host->after += p->host->given_up;
    camrill_packet_ref(packet);
    p->packets[p->count] = packet;
    p->infos[p->count].struct_size = sizeof *p->infos;
    EQ(camrill_packet_info(packet, &p->infos[p->count]), 0);
    p->count++;
    if (p->on_packet != NULL)
        p->on_packet(p);
}

static void keep_state(void *user, const camrill_relay_state_t *state)
{
    struct played *p = user;
    CHECK(!p->freed && !p->host->freed);
    EQ(state->struct_size, sizeof *state);
    EQ(state->direction, CAMRILL_RELAY_PLAYER);
    EQ(state->relay, 0);
    p->host->after += p->host->given_up;
    p->states++;
    p->state = state->state;
    keep(p->reason, sizeof p->reason, state->reason);
    keep(p->url, sizeof p->url, state->url);
    if (p->on_state != NULL)
        p->on_state(p);
}

static void played_freed(void *user)
{
    struct played *p = user;
    CHECK(!p->host->freed);
    p->freed++;
}

static camrill_player_config_t config_of(struct played *p, struct host *h)
{
    camrill_player_config_t config = CAMRILL_PLAYER_CONFIG_INIT;
    memset(p, 0, sizeof *p);
    p->host = h;
    /* The cameras here name sound and bring none. */
    config.flags = CAMRILL_PLAYER_NO_AUDIO;
    config.user = p;
    config.user_free = played_freed;
    config.on_tracks = keep_tracks;
    config.on_packet = keep_packet;
    config.on_state = keep_state;
    return config;
}

static void play(struct played *p, struct host *h, const char *name, uint32_t flags)
{
    camrill_player_config_t config = config_of(p, h);
    config.flags |= flags;
    config.app = "live";
    config.name = name;
    EQ(camrill_player_new(h->engine, &config, &p->player), 0);
}

static void give_back(struct played *p)
{
    while (p->count > 0)
        camrill_packet_free(p->packets[--p->count]);
}

/* All bytes of a packet by its pieces. */
static size_t gathered(const camrill_packet_info_t *info, uint8_t *out)
{
    size_t i, size = 0;
    for (i = 0; i < info->iov_count; i++) {
        CHECK(info->iov[i].size > 0);
        memcpy(out + size, info->iov[i].data, info->iov[i].size);
        size += info->iov[i].size;
    }
    EQ(size, info->size);
    return size;
}

/* Every NAL unit behind a start code of 4 bytes. */
static size_t long_codes(uint8_t *out, const uint8_t *in, size_t size)
{
    size_t i, n = 0;
    for (i = 0; i < size;) {
        size_t code = size - i >= 4 && memcmp(in + i, "\0\0\0\1", 4) == 0   ? 4
                      : size - i >= 3 && memcmp(in + i, "\0\0\1", 3) == 0 ? 3
                                                                              : 0;
        if (code > 0) {
            memcpy(out + n, "\0\0\0\1", 4);
            n += 4;
            i += code;
        } else {
            out[n++] = in[i++];
        }
    }
    return n;
}

static void arguments(void)
{
    struct host *h = &hosts[0];
    struct played p;
    camrill_player_config_t config, good;
    camrill_player_info_t info;
    camrill_packet_info_t packet;
    const uint8_t *data;
    size_t size;

    host_start(h, 0);
    good = config_of(&p, h);
    good.app = "live";
    good.name = "a";
#define WRONG(change, text)                                                       \
    do {                                                                          \
        config = good;                                                            \
        change;                                                                   \
        EQ(camrill_player_new(h->engine, &config, &p.player), CAMRILL_EINVAL);    \
        CHECK(strstr(why(h->engine), text) != NULL);                              \
    } while (0)
    WRONG(config.struct_size = 0, "struct_size is 0");
    WRONG(config.flags = 64, "flags is 64");
    WRONG(config.flags = CAMRILL_PLAYER_NO_VIDEO | CAMRILL_PLAYER_NO_AUDIO, "nothing to be played");
    WRONG(config.flags = CAMRILL_PLAYER_LOOP, "CAMRILL_PLAYER_LOOP");
    WRONG(config.on_packet = NULL, "on_packet is NULL");
    WRONG(config.name = NULL, "name is NULL");
    WRONG(config.app = NULL, "app is NULL");
    WRONG(config.name = "a/b", "name is \"a/b\"");
    WRONG(config.url = "rtmp://127.0.0.1/live/a", "beside app and name");
    WRONG(config.app = config.name = NULL, "url is NULL");
    WRONG(config.app = config.name = NULL; config.url = "", "url is empty");
    WRONG(config.app = config.name = NULL; config.url = "gopher://a/b", "gopher");
    WRONG(config.app = config.name = NULL; config.url = "a.flv"; config.retry.first_ms = 2;
          config.retry.longest_ms = 1, "first_ms");
    EQ(camrill_player_new(h->engine, NULL, &p.player), CAMRILL_EINVAL);
    EQ(camrill_player_new(h->engine, &good, NULL), CAMRILL_EINVAL);
    EQ(camrill_player_new(NULL, &good, &p.player), CAMRILL_EINVAL);
    EQ(p.freed, 0);
    info.struct_size = sizeof info;
    EQ(camrill_player_info(NULL, &info), CAMRILL_EINVAL);
    EQ(camrill_player_pause(NULL, 1), CAMRILL_EINVAL);
    packet.struct_size = sizeof packet;
    EQ(camrill_packet_info(NULL, &packet), CAMRILL_EINVAL);
    EQ(camrill_packet_data(NULL, &data, &size), CAMRILL_EINVAL);
    camrill_packet_ref(NULL);
    camrill_packet_free(NULL);
    camrill_player_free(NULL);

    EQ(camrill_player_new(h->engine, &good, &p.player), 0);
    EQ(camrill_player_info(p.player, NULL), CAMRILL_EINVAL);
    EQ(camrill_player_info(p.player, &info), 0);
    EQ(info.state, CAMRILL_RELAY_IDLE);
    CHECK(info.stream != 0);
    EQ(camrill_player_pause(p.player, 2), CAMRILL_EINVAL);
    CHECK(strstr(why(h->engine), "paused is 2") != NULL);
    camrill_player_free(p.player);
    EQ(p.freed, 0);
    SOON(1, p.freed == 1);
    host_free(h);
}

static void a_stream_in_both_formats(void)
{
    static uint8_t unit[70000], expected[70000], got[70000];
    static const size_t sizes[] = {60000, 100, 5000};
    struct host *h = &hosts[0];
    struct camera c;
    struct played annexb, same, stored;
    camrill_player_info_t info;
    camrill_stream_info_t stream;
    int i;

    host_start(h, 0);
    play(&annexb, h, "a", 0);
    play(&same, h, "a", 0);
    play(&stored, h, "a", CAMRILL_PLAYER_STORED);
    EQ(camera_new(&c, h, "a"), 0);
    for (i = 0; i < 3; i++) {
        EQ(camera_video(&c, i == 0, sizes[i], (uint8_t)i), 0);
        SOON(1, annexb.count == i + 1 && same.count == i + 1 && stored.count == i + 1);
    }
    EQ(annexb.tracks, 1);
    CHECK(annexb.video && !annexb.audio);
    EQ(annexb.width, 640);
    EQ(annexb.height, 360);
    EQ(annexb.state, CAMRILL_RELAY_RUNNING);
    for (i = 0; i < 3; i++) {
        const camrill_packet_info_t *it = &annexb.infos[i];
        size_t size = long_codes(expected, unit, access_unit(unit, i == 0, sizes[i], (uint8_t)i));
        const uint8_t *data, *again;
        size_t length;
        EQ(it->track, CAMRILL_TRACK_VIDEO);
        EQ(it->codec, CAMRILL_CODEC_H264);
        EQ(it->flags, i == 0 ? CAMRILL_PACKET_KEY : 0);
        EQ(it->pts_us, i * 40000);
        EQ(it->dts_us, it->pts_us);
        EQ(gathered(it, got), size);
        CHECK(memcmp(got, expected, size) == 0);
        /* Several pieces are put together when that is asked for, once for all. */
        CHECK((it->data == NULL) == (it->iov_count > 1));
        EQ(camrill_packet_data(annexb.packets[i], &data, &length), 0);
        EQ(length, size);
        CHECK(memcmp(data, expected, size) == 0);
        EQ(camrill_packet_data(same.packets[i], &again, &length), 0);
        CHECK(again == data);
        EQ(camrill_packet_info(same.packets[i], &same.infos[i]), 0);
        CHECK(same.infos[i].data == data && same.infos[i].iov_count == it->iov_count);
        EQ(camrill_packet_data(annexb.packets[i], NULL, &length), CAMRILL_EINVAL);
        EQ(camrill_packet_data(annexb.packets[i], &data, NULL), CAMRILL_EINVAL);
        /* As stored: a length, the NAL unit, and nothing else. */
        it = &stored.infos[i];
        EQ(gathered(it, got), sizes[i] + 4);
        EQ((size_t)got[1] << 16 | (size_t)got[2] << 8 | got[3], sizes[i]);
        CHECK(memcmp(got + 4, unit + access_unit(unit, i == 0, sizes[i], (uint8_t)i) - sizes[i], sizes[i]) == 0);
    }
    info.struct_size = sizeof info;
    EQ(camrill_player_info(annexb.player, &info), 0);
    EQ(info.state, CAMRILL_RELAY_RUNNING);
    EQ(info.packets, 3);
    EQ(info.starts, 1);
    EQ(info.skips, 0);
    stream.struct_size = sizeof stream;
    EQ(camrill_stream_info(h->engine, info.stream, &stream), 0);
    EQ(stream.players, 3);
    camrill_publisher_free(c.publisher);
    SOON(1, stored.state == CAMRILL_RELAY_IDLE);
    camrill_player_free(stored.player);
    camrill_player_free(same.player);
    camrill_player_free(annexb.player);
    SOON(1, stored.freed && same.freed && annexb.freed);
    give_back(&stored);
    give_back(&same);
    host_free(h);
    /* What is kept outlives all. */
    EQ(gathered(&annexb.infos[0], got), annexb.infos[0].size);
    give_back(&annexb);
}

/* A publisher has named its tracks: there is nothing to wait for when the one has come. */
static void only_named_tracks_are_waited_for(void)
{
    struct host *h = &hosts[0];
    struct camera c;
    struct played p;
    camrill_publisher_config_t publisher = CAMRILL_PUBLISHER_CONFIG_INIT;
    camrill_player_config_t config;
    int turns;
    host_start(h, 0);
    memset(&c, 0, sizeof c);
    publisher.app = "live";
    publisher.name = "a";
    publisher.tracks.video_codec = CAMRILL_CODEC_H264;
    EQ(camrill_publisher_new(h->engine, &publisher, &c.publisher), 0);
    config = config_of(&p, h);
    config.app = "live";
    config.name = "a";
    config.flags = 0;
    EQ(camrill_player_new(h->engine, &config, &p.player), 0);
    EQ(camera_video(&c, 1, 100, 1), 0);
    for (turns = 0; turns < 10 && p.count == 0; turns++)
        CHECK(camrill_engine_poll(h->engine, 20) >= 0);
    EQ(p.count, 1);
    CHECK(p.video && !p.audio);
    give_back(&p);
    camrill_publisher_free(c.publisher);
    camrill_player_free(p.player);
    SOON(1, p.freed);
    host_free(h);
}

static void pausing(void)
{
    struct host *h = &hosts[0];
    struct camera c;
    struct played p;
    camrill_player_info_t info;

    host_start(h, 0);
    EQ(camera_new(&c, h, "a"), 0);
    play(&p, h, "a", 0);
    EQ(camera_video(&c, 1, 100, 1), 0);
    EQ(camera_video(&c, 0, 100, 2), 0);
    SOON(1, p.count == 2);
    EQ(camrill_player_pause(p.player, 1), 0);
    EQ(camrill_player_pause(p.player, 1), 0);
    EQ(camera_video(&c, 0, 100, 3), 0);
    EQ(camera_video(&c, 1, 100, 4), 0);
    turn(1);
    info.struct_size = sizeof info;
    EQ(camrill_player_info(p.player, &info), 0);
    EQ(info.paused, 1);
    EQ(p.count, 2);
    EQ(camrill_player_pause(p.player, 0), 0);
    SOON(1, p.count == 3);
    EQ(p.infos[2].flags, CAMRILL_PACKET_KEY | CAMRILL_PACKET_DISCONTINUITY);
    EQ(p.infos[2].pts_us, 3 * 40000);
    give_back(&p);
    camrill_publisher_free(c.publisher);
    camrill_player_free(p.player);
    host_free(h);
    EQ(p.freed, 1);
}

static void pause_it(struct played *p)
{
    EQ(camrill_player_pause(p->player, 1), 0);
}

static void free_it(struct played *p)
{
    camrill_player_t *player = p->player;
    if (player != NULL) {
        p->player = NULL;
        camrill_player_free(player);
        EQ(p->freed, 0);
    }
}

static void free_all(struct played *p)
{
    if (!p->host->given_up) {
        camrill_engine_free(p->host->engine);
        p->host->given_up = 1;
        EQ(p->host->freed, 0);
    }
}

/* In each callback: paused, freed, and the engine freed. */
static void inside_callbacks(void)
{
    static void (*const what[])(struct played *) = {pause_it, free_it, free_all};
    struct host *h = &hosts[0];
    size_t i, place;

    for (i = 0; i < COUNT(what); i++) {
        for (place = 0; place < 3; place++) {
            struct camera c;
            struct played p;
            int n;
            host_start(h, 0);
            EQ(camera_new(&c, h, "a"), 0);
            for (n = 0; n < 5; n++)
                EQ(camera_video(&c, n == 0, 100, 1), 0);
            play(&p, h, "a", 0);
            p.on_state = place == 0 ? what[i] : NULL;
            p.on_tracks = place == 1 ? what[i] : NULL;
            p.on_packet = place == 2 ? what[i] : NULL;
            if (what[i] == free_all) {
                while (!h->given_up)
                    CHECK(camrill_engine_poll(h->engine, 1) >= 0);
            } else {
                SOON(1, what[i] == free_it ? p.freed : p.states > 0 && (place == 0 || p.tracks > 0));
                turn(1);
            }
            EQ(p.states, 1);
            EQ(p.tracks, place > 0);
            EQ(p.count, place == 2);
            give_back(&p);
            if (what[i] != free_all)
                host_free(h);
            EQ(h->freed, 1);
            EQ(h->after, 0);
            EQ(p.freed, 1);
            camrill_player_free(p.player);
            camrill_publisher_free(c.publisher);
        }
    }
}

static void *elsewhere(void *user)
{
    struct played *p = user;
    const uint8_t *data;
    size_t size, i, sum = 0;
    int n;
    for (n = 0; n < p->count; n++) {
        camrill_packet_ref(p->packets[n]);
        EQ(camrill_packet_info(p->packets[n], &p->infos[n]), 0);
        EQ(camrill_packet_data(p->packets[n], &data, &size), 0);
        for (i = 0; i < size; i++)
            sum += data[i];
        camrill_packet_free(p->packets[n]);
    }
    CHECK(sum > 0);
    give_back(p);
    return NULL;
}

/* Kept, looked at and given back on other threads, two at a time, while and after the engine is freed. */
static void packets_on_other_threads(void)
{
    struct host *h = &hosts[0];
    struct camera c;
    struct played p[2];
    pthread_t threads[2];
    camrill_player_info_t info;
    int i;

    host_start(h, 0);
    play(&p[0], h, "a", 0);
    play(&p[1], h, "a", 0);
    EQ(camera_new(&c, h, "a"), 0);
    for (i = 0; i < 20; i++)
        EQ(camera_video(&c, i == 0, 3000, 1), 0);
    SOON(1, p[0].count == 20 && p[1].count == 20);
    for (i = 0; i < 2; i++)
        EQ(pthread_create(&threads[i], NULL, elsewhere, &p[i]), 0);
    camrill_publisher_free(c.publisher);
    host_free(h);
    EQ(p[0].freed + p[1].freed, 2);
    for (i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        /* What is left of a player can but be given back. */
        info.struct_size = sizeof info;
        EQ(camrill_player_info(p[i].player, &info), CAMRILL_ESTATE);
        EQ(camrill_player_pause(p[i].player, 1), CAMRILL_ESTATE);
        camrill_player_free(p[i].player);
    }
}

static void urls(void)
{
    struct camera c;
    struct played p, dead;
    camrill_player_config_t config;
    camrill_player_info_t info;
    camrill_stats_t stats;
    char url[128];

    host_start(&hosts[0], 0);
    host_start(&hosts[1], 0);
    EQ(camera_new(&c, &hosts[0], "a"), 0);
    EQ(camera_video(&c, 1, 5000, 1), 0);
    snprintf(url, sizeof url, "rtmp://127.0.0.1:%d/live/a?secret=1", (int)hosts[0].port);
    config = config_of(&p, &hosts[1]);
    config.url = url;
    EQ(camrill_player_new(hosts[1].engine, &config, &p.player), 0);
    SOON(2, p.count == 1);
    EQ(camera_video(&c, 0, 100, 2), 0);
    SOON(2, p.count == 2);
    EQ(p.state, CAMRILL_RELAY_RUNNING);
    CHECK(strstr(p.url, "/live/a") != NULL && strstr(p.url, "secret") == NULL);
    EQ(p.infos[1].pts_us - p.infos[0].pts_us, 40000);
    info.struct_size = sizeof info;
    EQ(camrill_player_info(p.player, &info), 0);
    EQ(info.stream, 0);
    EQ(info.packets, 2);
    EQ(info.state, CAMRILL_RELAY_RUNNING);
    CHECK(info.received_bytes > 5000);
    EQ_TEXT(info.url, p.url);
    /* Nothing of it is to be seen. */
    stats.struct_size = sizeof stats;
    EQ(camrill_stats(hosts[1].engine, &stats), 0);
    EQ(stats.streams + stats.publishers + stats.players, 0);
    EQ(camrill_relays(hosts[1].engine, NULL, 0), 0);
    EQ(camrill_streams(hosts[1].engine, NULL, 0), 0);
    EQ(hosts[1].events, 0);

    config = config_of(&dead, &hosts[1]);
    config.url = "rtmp://127.0.0.1:1/live/a";
    config.retry.first_ms = 5;
    config.retry.tries = 2;
    EQ(camrill_player_new(hosts[1].engine, &config, &dead.player), 0);
    SOON(2, dead.state == CAMRILL_RELAY_ENDED);
    CHECK(strstr(dead.reason, "refused") != NULL);
    EQ(camrill_player_info(dead.player, &info), 0);
    EQ(info.state, CAMRILL_RELAY_ENDED);
    EQ_TEXT(info.reason, dead.reason);

    camrill_player_free(p.player);
    SOON(2, p.freed);
    camrill_publisher_free(c.publisher);
    host_free(&hosts[1]);
    EQ(dead.freed, 1);
    camrill_player_free(dead.player);
    host_free(&hosts[0]);
    give_back(&p);
}

static void in_a_forked_child(void)
{
    struct host *h = &hosts[0];
    struct camera c;
    struct played p;
    int status;
    pid_t child;

    host_start(h, 0);
    EQ(camera_new(&c, h, "a"), 0);
    play(&p, h, "a", 0);
    EQ(camera_video(&c, 1, 100, 1), 0);
    SOON(1, p.count == 1);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        camrill_player_info_t info;
        camrill_packet_info_t packet;
        info.struct_size = sizeof info;
        packet.struct_size = sizeof packet;
        EQ(camrill_player_info(p.player, &info), CAMRILL_EFORKED);
        EQ(camrill_player_pause(p.player, 1), CAMRILL_EFORKED);
        EQ(camrill_packet_info(p.packets[0], &packet), 0);
        EQ(packet.size, p.infos[0].size);
        give_back(&p);
        camrill_player_free(p.player);
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    give_back(&p);
    camrill_publisher_free(c.publisher);
    camrill_player_free(p.player);
    SOON(1, p.freed);
    host_free(h);
}

int main(void)
{
    RUN(arguments);
    RUN(a_stream_in_both_formats);
    RUN(only_named_tracks_are_waited_for);
    RUN(pausing);
    RUN(inside_callbacks);
    RUN(packets_on_other_threads);
    RUN(urls);
    RUN(in_a_forked_child);
    return 0;
}
