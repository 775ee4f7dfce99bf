/* What is refused at the door: NULL, struct sizes, buffers; and what a failure leaves alone. */
#include "test.h"

#include <sys/resource.h>

static void versions_and_errors(void)
{
    static const int32_t codes[] = {
        CAMRILL_OK,        CAMRILL_EINVAL,   CAMRILL_ECONFIG,  CAMRILL_ENOENT,    CAMRILL_EFRAME, CAMRILL_ESTATE,
        CAMRILL_EREENTRANT, CAMRILL_EFORKED, CAMRILL_EBUSY,    CAMRILL_EIO,       CAMRILL_EADDRESS,
        CAMRILL_EPROTOCOL, CAMRILL_EAGAIN,   CAMRILL_ELIMIT,   CAMRILL_ENOMEM,    CAMRILL_EBUFFER, CAMRILL_EPANIC,
    };
    size_t i, j;
    EQ(camrill_version(), CAMRILL_VERSION);
    EQ(CAMRILL_VERSION, CAMRILL_VERSION_MAJOR * 65536 + CAMRILL_VERSION_MINOR * 256 + CAMRILL_VERSION_PATCH);
    for (i = 0; i < COUNT(codes); i++) {
        CHECK(strlen(camrill_strerror(codes[i])) > 4);
        for (j = 0; j < i; j++)
            CHECK(strcmp(camrill_strerror(codes[i]), camrill_strerror(codes[j])) != 0);
    }
    EQ_TEXT(camrill_strerror(7), "success");
    EQ_TEXT(camrill_strerror(-5), "unknown error");
    EQ_TEXT(camrill_strerror(INT32_MIN), "unknown error");
}

static void nothing(void *user)
{
    (void)user;
}

static void null_is_refused(void)
{
    camrill_engine_config_t config = CAMRILL_ENGINE_CONFIG_INIT;
    camrill_publisher_config_t publishing = CAMRILL_PUBLISHER_CONFIG_INIT;
    camrill_frame_t frame = CAMRILL_FRAME_INIT;
    camrill_engine_t *e = NULL;
    camrill_publisher_t *p = NULL;
    camrill_stats_t stats;
    camrill_stream_info_t stream;
    camrill_program_info_t program;
    camrill_client_info_t client;
    camrill_relay_info_t relay;
    camrill_ingest_config_t ingest = CAMRILL_INGEST_CONFIG_INIT;
    camrill_forward_config_t forward = CAMRILL_FORWARD_CONFIG_INIT;
    camrill_ingest_t *i = NULL;
    camrill_forward_t *f = NULL;
    camrill_publisher_stats_t published;
    camrill_id_t ids[4];
    uint8_t byte = 0;
    char text[64];

    stats.struct_size = sizeof stats;
    stream.struct_size = sizeof stream;
    client.struct_size = sizeof client;
    published.struct_size = sizeof published;
    relay.struct_size = sizeof relay;

    EQ(camrill_engine_new(&config, NULL), CAMRILL_EINVAL);
    EQ(camrill_engine_new(NULL, NULL), CAMRILL_EINVAL);
    EQ_TEXT(why(NULL), "out is NULL");
    EQ(camrill_engine_new(NULL, &e), 0);

    camrill_engine_free(NULL);
    EQ(camrill_engine_fd(NULL), CAMRILL_EINVAL);
    EQ(camrill_engine_timeout_ms(NULL), CAMRILL_EINVAL);
    EQ(camrill_engine_poll(NULL, 0), CAMRILL_EINVAL);
    EQ(camrill_engine_run(NULL), CAMRILL_EINVAL);
    EQ(camrill_engine_stop(NULL), CAMRILL_EINVAL);
    EQ(camrill_engine_wake(NULL), CAMRILL_EINVAL);
    EQ(camrill_engine_call(NULL, nothing, NULL), CAMRILL_EINVAL);
    EQ(camrill_engine_call(e, NULL, NULL), CAMRILL_EINVAL);
    EQ(camrill_config_load_file(NULL, "x"), CAMRILL_EINVAL);
    EQ_TEXT(why(NULL), "engine is NULL");
    EQ(camrill_config_load_file(e, NULL), CAMRILL_EINVAL);
    EQ_TEXT(why(e), "path is NULL");
    EQ(camrill_config_load_text(NULL, "x", ""), CAMRILL_EINVAL);
    EQ(camrill_config_load_text(e, NULL, ""), CAMRILL_EINVAL);
    EQ(camrill_config_load_text(e, "x", NULL), CAMRILL_EINVAL);
    EQ(camrill_config_revert(NULL), CAMRILL_EINVAL);
    EQ(camrill_config_load_env(NULL), CAMRILL_EINVAL);
    EQ(camrill_config_set(NULL, "listen", "0"), CAMRILL_EINVAL);
    EQ(camrill_config_set(e, NULL, "0"), CAMRILL_EINVAL);
    EQ(camrill_config_set(e, "listen", NULL), CAMRILL_EINVAL);
    EQ(camrill_config_get(NULL, "listen", text, sizeof text), CAMRILL_EINVAL);
    EQ(camrill_config_get(e, NULL, text, sizeof text), CAMRILL_EINVAL);
    EQ(camrill_config_get(e, "chunk_size", NULL, 1), CAMRILL_EINVAL);
    EQ(camrill_config_print(NULL, text, sizeof text), CAMRILL_EINVAL);
    EQ(camrill_config_print(e, NULL, 1), CAMRILL_EINVAL);
    EQ(camrill_config_check(NULL), CAMRILL_EINVAL);
    EQ(camrill_config_apply(NULL), CAMRILL_EINVAL);
    EQ(camrill_engine_port(NULL, "rtmp"), CAMRILL_EINVAL);
    EQ(camrill_engine_port(e, NULL), CAMRILL_EINVAL);
    EQ(camrill_auth_reply(NULL, 1, CAMRILL_ALLOW, NULL), CAMRILL_EINVAL);
    EQ(camrill_resolve_reply(NULL, 1, "127.0.0.1"), CAMRILL_EINVAL);
    EQ(camrill_client_kick(NULL, 1), CAMRILL_EINVAL);
    EQ(camrill_stats(NULL, &stats), CAMRILL_EINVAL);
    EQ(camrill_stats(e, NULL), CAMRILL_EINVAL);
    EQ(camrill_streams(NULL, ids, 4), CAMRILL_EINVAL);
    EQ(camrill_streams(e, NULL, 4), CAMRILL_EINVAL);
    EQ(camrill_streams(e, NULL, 0), 0);
    EQ(camrill_clients(NULL, ids, 4), CAMRILL_EINVAL);
    EQ(camrill_clients(e, NULL, 4), CAMRILL_EINVAL);
    EQ(camrill_clients(e, NULL, 0), 0);
    EQ(camrill_stream_info(NULL, 1, &stream), CAMRILL_EINVAL);
    EQ(camrill_client_info(NULL, 1, &client), CAMRILL_EINVAL);
    EQ(camrill_programs(NULL), CAMRILL_EINVAL);
    EQ(camrill_programs(e), 0);
    EQ(camrill_program_info(NULL, 0, &program), CAMRILL_EINVAL);
    EQ(camrill_program_info(e, 0, &program), CAMRILL_ENOENT);
    EQ(camrill_relays(NULL, ids, 4), CAMRILL_EINVAL);
    EQ(camrill_relays(e, NULL, 4), CAMRILL_EINVAL);
    EQ(camrill_relays(e, NULL, 0), 0);
    EQ(camrill_relay_info(NULL, 1, &relay), CAMRILL_EINVAL);
    EQ(camrill_ingest_new(NULL, &ingest, &i), CAMRILL_EINVAL);
    EQ(camrill_ingest_new(e, NULL, &i), CAMRILL_EINVAL);
    EQ(camrill_ingest_new(e, &ingest, NULL), CAMRILL_EINVAL);
    EQ(camrill_ingest_new(e, &ingest, &i), CAMRILL_EINVAL);
    EQ(camrill_ingest_info(NULL, &relay), CAMRILL_EINVAL);
    EQ(camrill_forward_new(NULL, &forward, &f), CAMRILL_EINVAL);
    EQ(camrill_forward_new(e, NULL, &f), CAMRILL_EINVAL);
    EQ(camrill_forward_new(e, &forward, NULL), CAMRILL_EINVAL);
    EQ(camrill_forward_new(e, &forward, &f), CAMRILL_EINVAL);
    EQ(camrill_forward_info(NULL, &relay), CAMRILL_EINVAL);
    CHECK(i == NULL && f == NULL);
    camrill_ingest_free(NULL);
    camrill_forward_free(NULL);

    publishing.tracks.video_codec = CAMRILL_CODEC_H264;
    publishing.app = "live";
    publishing.name = "a";
    EQ(camrill_publisher_new(NULL, &publishing, &p), CAMRILL_EINVAL);
    EQ(camrill_publisher_new(e, NULL, &p), CAMRILL_EINVAL);
    EQ(camrill_publisher_new(e, &publishing, NULL), CAMRILL_EINVAL);
    publishing.app = NULL;
    EQ(camrill_publisher_new(e, &publishing, &p), CAMRILL_EINVAL);
    publishing.app = "live";
    publishing.name = NULL;
    EQ(camrill_publisher_new(e, &publishing, &p), CAMRILL_EINVAL);
    CHECK(p == NULL);
    publishing.name = "a";
    EQ(camrill_publisher_new(e, &publishing, &p), 0);
    EQ(camrill_streams(e, NULL, 4), CAMRILL_EINVAL);
    EQ(camrill_streams(e, ids, 4), 1);
    EQ(camrill_stream_info(e, ids[0], NULL), CAMRILL_EINVAL);
    EQ(camrill_publisher_write(NULL, &frame), CAMRILL_EINVAL);
    EQ_TEXT(why(NULL), "publisher is NULL");
    EQ(camrill_publisher_write(p, NULL), CAMRILL_EINVAL);
    frame.codec = CAMRILL_CODEC_H264;
    frame.size = 1;
    EQ(camrill_publisher_write(p, &frame), CAMRILL_EINVAL);
    frame.data = &byte;
    frame.size = 0;
    EQ(camrill_publisher_write(p, &frame), CAMRILL_EINVAL);
    EQ(camrill_publisher_stats(NULL, &published), CAMRILL_EINVAL);
    EQ(camrill_publisher_stats(p, NULL), CAMRILL_EINVAL);
    camrill_publisher_free(NULL);
    camrill_publisher_free(p);
    CHECK(camrill_engine_last_error(e, NULL, 0) > 0);
    CHECK(camrill_engine_last_error(e, NULL, 5) > 0);
    camrill_engine_free(e);
}

static int frees;

static void count_free(void *user)
{
    (void)user;
    frees++;
}

static void input_struct_sizes(void)
{
    struct {
        camrill_engine_config_t config;
        uint64_t newer[2];
    } longer = {CAMRILL_ENGINE_CONFIG_INIT, {~0ull, ~0ull}};
    camrill_engine_config_t config = CAMRILL_ENGINE_CONFIG_INIT;
    camrill_engine_t *const untouched = (camrill_engine_t *)&frees;
    camrill_engine_t *e = untouched;
    uint32_t size;

    config.user_free = count_free;
    frees = 0;
    for (size = 0; size < 4; size++) {
        config.struct_size = size;
        EQ(camrill_engine_new(&config, &e), CAMRILL_EINVAL);
        CHECK(e == untouched && strstr(why(NULL), "struct_size") != NULL);
    }
    config.struct_size = sizeof config;
    config.log_level = 6;
    EQ(camrill_engine_new(&config, &e), CAMRILL_EINVAL);
    config.log_level = -1;
    EQ(camrill_engine_new(&config, &e), CAMRILL_EINVAL);
    CHECK(e == untouched && strstr(why(NULL), "log_level is -1") != NULL);
    EQ(frees, 0);

    /* What lies behind struct_size is not there: neither the wrong level nor the callback. */
    config.struct_size = 4;
    EQ(camrill_engine_new(&config, &e), 0);
    camrill_engine_free(e);
    EQ(frees, 0);

    /* What a newer header has more, this library doesn't know. */
    longer.config.struct_size = sizeof longer;
    longer.config.user_free = count_free;
    EQ(camrill_engine_new(&longer.config, &e), 0);
    camrill_engine_free(e);
    EQ(frees, 1);
}

static void output_struct_sizes(void)
{
    struct {
        camrill_stats_t stats;
        uint8_t newer[16];
    } longer, before;
    struct camera c;
    struct host h;
    camrill_publisher_stats_t published;
    camrill_stream_info_t info, blank;
    camrill_client_info_t client, no_client;
    camrill_id_t ids[4] = {9, 9, 9, 9};
    size_t i;

    host_make(&h, 0);
    EQ(camera_new(&c, &h, "a"), 0);
    EQ(camera_video(&c, 1, 100, 1), 0);

    memset(&longer, 0xa5, sizeof longer);
    before = longer;
    longer.stats.struct_size = 0;
    EQ(camrill_stats(h.engine, &longer.stats), CAMRILL_EINVAL);
    longer.stats.struct_size = 3;
    EQ(camrill_stats(h.engine, &longer.stats), CAMRILL_EINVAL);
    CHECK(memcmp((char *)&longer + 4, (char *)&before + 4, sizeof longer - 4) == 0);
    longer.stats.struct_size = 16; /* connections, streams and publishers */
    EQ(camrill_stats(h.engine, &longer.stats), 0);
    EQ(longer.stats.struct_size, 16);
    EQ(longer.stats.connections, 0);
    EQ(longer.stats.streams, 1);
    EQ(longer.stats.publishers, 1);
    CHECK(memcmp((char *)&longer + 16, (char *)&before + 16, sizeof longer - 16) == 0);
    longer.stats.struct_size = sizeof longer;
    EQ(camrill_stats(h.engine, &longer.stats), 0);
    EQ(longer.stats.struct_size, sizeof longer);
    EQ(longer.stats.players, 0);
    for (i = 0; i < sizeof longer.newer; i++)
        EQ(longer.newer[i], 0xa5);

    published.struct_size = 8;
    published.dropped = 77;
    EQ(camrill_publisher_stats(c.publisher, &published), 0);
    EQ(published.written, 1);
    EQ(published.dropped, 77);
    published.struct_size = sizeof published;
    EQ(camrill_publisher_stats(c.publisher, &published), 0);
    EQ(published.dropped, 0);
    CHECK(published.queued_bytes > 100);
    published.struct_size = 1;
    EQ(camrill_publisher_stats(c.publisher, &published), CAMRILL_EINVAL);

    memset(&info, 0x5a, sizeof info);
    blank = info;
    blank.struct_size = info.struct_size = sizeof info;
    EQ(camrill_stream_info(h.engine, 12345, &info), CAMRILL_ENOENT);
    CHECK(memcmp(&info, &blank, sizeof info) == 0);
    memset(&client, 0x5a, sizeof client);
    no_client = client;
    no_client.struct_size = client.struct_size = sizeof client;
    EQ(camrill_client_info(h.engine, 0, &client), CAMRILL_ENOENT);
    CHECK(memcmp(&client, &no_client, sizeof client) == 0);

    EQ(camrill_streams(h.engine, ids, 0), 1);
    EQ(ids[0], 9);
    EQ(camrill_streams(h.engine, ids, 4), 1);
    CHECK(ids[0] != 9 && ids[0] != 0 && ids[1] == 9);
    EQ(camrill_stream_info(h.engine, ids[0], &info), 0);
    EQ(info.id, ids[0]);
    EQ(info.published, 1);
    EQ(info.publisher, 0);
    EQ_TEXT(info.vhost, "__defaultVhost__");
    EQ_TEXT(info.app, "live");
    EQ_TEXT(info.name, "a");
    EQ(camrill_engine_poll(h.engine, 0) >= 1, 1);
    EQ(camrill_stream_info(h.engine, ids[0], &info), 0);
    EQ(info.video_codec, CAMRILL_CODEC_H264);
    EQ(info.audio_codec, CAMRILL_CODEC_NONE);
    CHECK(info.width == 640 && info.height > 300 && info.video_frames == 1);
    camrill_publisher_free(c.publisher);
    host_free(&h);
    EQ(c.freed, 1);
}

static void buffers(void)
{
    camrill_engine_t *e;
    char text[1024], small[8];
    int32_t size;
    size_t whole, i;

    EQ(camrill_engine_new(NULL, &e), 0);
    EQ(camrill_config_set(e, "listen", "127.0.0.1:0"), 0);
    EQ(camrill_config_get(e, "listen", NULL, 0), 11);
    memset(small, 'x', sizeof small);
    EQ(camrill_config_get(e, "listen", small, sizeof small), CAMRILL_EBUFFER);
    EQ(memcmp(small, "xxxxxxxx", 8), 0);
    EQ(camrill_config_get(e, "listen", text, 11), CAMRILL_EBUFFER);
    EQ(camrill_config_get(e, "listen", text, 12), 11);
    EQ_TEXT(text, "127.0.0.1:0");
    size = camrill_config_print(e, NULL, 0);
    CHECK(size > 11 && size < 1000);
    memset(text, 'x', sizeof text);
    EQ(camrill_config_print(e, text, (size_t)size), CAMRILL_EBUFFER);
    EQ(text[0], 'x');
    EQ(camrill_config_print(e, text, (size_t)size + 1), size);
    EQ(strlen(text), size);
    EQ(text[size + 1], 'x');

    /* The last error is cut, and its whole length is answered. */
    EQ(camrill_config_set(e, "no/such/d\xc3\xa4rective", "1"), CAMRILL_ENOENT);
    whole = camrill_engine_last_error(e, NULL, 0);
    CHECK(whole > 10 && whole < sizeof text);
    for (i = 1; i < whole + 3; i++) {
        memset(text, 'x', sizeof text);
        EQ(camrill_engine_last_error(e, text, i), whole);
        CHECK(strlen(text) < i && text[i] == 'x');
        CHECK(i > whole ? strlen(text) == whole : strlen(text) >= (i < 3 ? 0 : i - 3));
        /* Never half a character. */
        CHECK(strlen(text) == 0 || (text[strlen(text) - 1] & 0xc0) != 0xc0);
    }
    /* A success leaves it. */
    EQ(camrill_config_set(e, "chunk_size", "4096"), 0);
    EQ(camrill_engine_last_error(e, NULL, 0), whole);

    EQ(camrill_config_set(e, "listen", "\xff\xfe"), CAMRILL_EINVAL);
    EQ_TEXT(why(e), "value is not UTF-8");
    EQ(camrill_config_load_file(e, "\xff"), CAMRILL_EINVAL);
    EQ(camrill_engine_port(e, "rtmp"), CAMRILL_ENOENT);
    EQ(camrill_engine_port(e, "gopher"), CAMRILL_ENOENT);
    EQ(camrill_auth_reply(e, 1, CAMRILL_PENDING, NULL), CAMRILL_EINVAL);
    EQ(camrill_auth_reply(e, 1, 0, NULL), CAMRILL_EINVAL);
    EQ(camrill_auth_reply(e, 1, CAMRILL_ALLOW, "\xff"), CAMRILL_EINVAL);
    EQ(camrill_auth_reply(e, 1, CAMRILL_ALLOW, NULL), CAMRILL_ENOENT);
    EQ(camrill_client_kick(e, 0), CAMRILL_ENOENT);
    EQ(camrill_client_kick(e, UINT32_MAX), CAMRILL_ENOENT);
    camrill_engine_free(e);
}

static void wrong_publishers(void)
{
    struct host h;
    camrill_publisher_config_t good = CAMRILL_PUBLISHER_CONFIG_INIT, c;
    camrill_publisher_t *const untouched = (camrill_publisher_t *)&frees;
    camrill_publisher_t *p = untouched;
    static const uint8_t aac[] = {0x12, 0x10}, broken[] = {0xff};
    char name[300];

    host_make(&h, 0);
    frees = 0;
    good.tracks.video_codec = CAMRILL_CODEC_H264;
    good.app = "live";
    good.name = "a";
    good.user_free = count_free;
#define WRONG(change, code)                                   \
    do {                                                      \
        c = good;                                             \
        change;                                               \
        EQ(camrill_publisher_new(h.engine, &c, &p), code);    \
        CHECK(p == untouched);                                \
    } while (0)
    WRONG(c.struct_size = 0, CAMRILL_EINVAL);
    WRONG(c.struct_size = 16, CAMRILL_EINVAL); /* no names */
    WRONG(c.tracks.video_codec = CAMRILL_CODEC_NONE, CAMRILL_EINVAL);
    WRONG(c.tracks.video_codec = CAMRILL_CODEC_AAC, CAMRILL_EINVAL);
    WRONG(c.tracks.video_codec = 99, CAMRILL_EINVAL);
    WRONG(c.tracks.audio_codec = CAMRILL_CODEC_H264, CAMRILL_EINVAL);
    WRONG(c.queue_bytes = 65535, CAMRILL_EINVAL);
    WRONG(c.flags = 2, CAMRILL_EINVAL);
    WRONG((c.rate_min = 200000, c.rate_max = 199999), CAMRILL_EINVAL);
    WRONG(c.rate_max = 99999, CAMRILL_EINVAL);
    WRONG(c.app = "", CAMRILL_EINVAL);
    WRONG(c.name = "", CAMRILL_EINVAL);
    WRONG(c.name = "a/b", CAMRILL_EINVAL);
    WRONG(c.app = "a/../b", CAMRILL_EINVAL);
    WRONG(c.name = "..", CAMRILL_EINVAL);
    WRONG(c.name = "a\nb", CAMRILL_EINVAL);
    WRONG(c.name = "\xc3", CAMRILL_EINVAL);
    WRONG(c.vhost = "\xc3", CAMRILL_EINVAL);
    memset(name, 'n', sizeof name);
    name[256] = 0;
    WRONG(c.name = name, CAMRILL_EINVAL);
    WRONG((c.tracks.audio_codec = CAMRILL_CODEC_AAC, c.tracks.audio_config = broken, c.tracks.audio_config_size = 1), CAMRILL_EINVAL);
    WRONG((c.tracks.audio_codec = CAMRILL_CODEC_AAC, c.tracks.audio_config = aac, c.tracks.audio_config_size = 0), CAMRILL_EINVAL);
    EQ(camrill_config_load_text(h.engine, "x", "vhost one.example { }"), 0);
    EQ(camrill_config_apply(h.engine), 0);
    WRONG(c.vhost = "other.example", CAMRILL_ENOENT);
    EQ(frees, 0);
    c = good;
    c.vhost = "one.example";
    name[255] = 0;
    c.name = name;
    EQ(camrill_publisher_new(h.engine, &c, &p), 0);
    camrill_publisher_free(p);
    EQ(camrill_engine_poll(h.engine, 0), 3); /* published, unpublished, and its user_free */
    EQ(frees, 1);
    host_free(&h);
}

/* No descriptors: the engine isn't made, and nothing is left of it. */
static void out_of_descriptors(void)
{
    camrill_engine_config_t config = CAMRILL_ENGINE_CONFIG_INIT;
    camrill_engine_t *const untouched = (camrill_engine_t *)&frees;
    camrill_engine_t *e = untouched;
    struct rlimit limit, tight;
    int i;

    frees = 0;
    config.user_free = count_free;
    EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    for (i = 3; i < 6; i++) {
        tight = limit;
        tight.rlim_cur = (rlim_t)i;
        EQ(setrlimit(RLIMIT_NOFILE, &tight), 0);
        if (camrill_engine_new(&config, &e) == 0) {
            camrill_engine_free(e);
            EQ(frees, 1);
            break;
        }
        CHECK(e == untouched);
        CHECK(strstr(why(NULL), "creating the loop's") != NULL);
        EQ(frees, 0);
    }
    CHECK(i > 3);
    EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

int main(void)
{
    RUN(versions_and_errors);
    RUN(null_is_refused);
    RUN(input_struct_sizes);
    RUN(output_struct_sizes);
    RUN(buffers);
    RUN(wrong_publishers);
    RUN(out_of_descriptors);
    return 0;
}
