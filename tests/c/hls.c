/* HLS from C: of a stream and of the host's own frames, in memory, in a folder and by callback. */
#include "test.h"

#include <sys/stat.h>

/* What a writer's callbacks were given. */
struct keeper {
    struct host *host;
    camrill_hls_t *hls;
    struct kept {
        int32_t kind;
        char name[96];
        uint8_t *data;
        size_t size;
        int64_t duration_us;
        int removed;
    } files[512];
    int count, kinds[6], removed, freed;
    void (*on_file)(struct keeper *, const camrill_hls_file_t *);
};

static void keep_file(void *user, const camrill_hls_file_t *file)
{
    struct keeper *k = user;
    struct kept *f = &k->files[k->count];
    CHECK(!k->freed && file->struct_size == sizeof *file && file->kind >= 1 && file->kind <= 5);
    CHECK(k->count < 512 && file->size > 0);
    if (k->host != NULL) {
        CHECK(!k->host->freed);
        k->host->after += k->host->given_up;
    }
    k->count++;
    k->kinds[file->kind]++;
    f->kind = file->kind;
    f->duration_us = file->duration_us;
    f->size = file->size;
    keep(f->name, sizeof f->name, file->name);
    f->data = malloc(file->size + 1);
    CHECK(f->data != NULL);
    memcpy(f->data, file->data, file->size);
    f->data[file->size] = 0;
    EQ(file->kind == CAMRILL_HLS_SEGMENT, file->duration_us > 0);
    if (k->on_file != NULL)
        k->on_file(k, file);
}

static void note_removed(void *user, const char *name)
{
    struct keeper *k = user;
    int i;
    CHECK(!k->freed);
    for (i = 0; i < k->count; i++)
        if (strcmp(k->files[i].name, name) == 0)
            k->files[i].removed = 1;
    k->removed++;
}

static void keeper_freed(void *user)
{
    struct keeper *k = user;
    CHECK(k->host == NULL || !k->host->freed);
    k->freed++;
}

static void keeper_clear(struct keeper *k)
{
    while (k->count > 0)
        free(k->files[--k->count].data);
    memset(k, 0, sizeof *k);
}

static struct keeper kept;

/* A config of the host's own frames, H.264 and ADTS, that tells `kept`. */
static camrill_hls_config_t fed(struct host *h)
{
    camrill_hls_config_t config = CAMRILL_HLS_CONFIG_INIT;
    keeper_clear(&kept);
    kept.host = h;
    config.tracks.video_codec = CAMRILL_CODEC_H264;
    config.tracks.audio_codec = CAMRILL_CODEC_AAC;
    config.fragment_ms = 2000;
    config.window_ms = 6000;
    config.user = &kept;
    config.user_free = keeper_freed;
    config.on_file = keep_file;
    config.on_remove = note_removed;
    return config;
}

/* ... and of the stream live/a. */
static camrill_hls_config_t of_stream(struct host *h)
{
    camrill_hls_config_t config = fed(h);
    config.tracks.video_codec = config.tracks.audio_codec = 0;
    config.app = "live";
    config.name = "a";
    return config;
}

static int64_t clock_us;

static int32_t write_video(camrill_hls_t *hls, int key, size_t size)
{
    camrill_frame_t frame = CAMRILL_FRAME_INIT;
    uint8_t *data = malloc(size + 64);
    int32_t result;
    CHECK(data != NULL);
    frame.codec = CAMRILL_CODEC_H264;
    frame.size = access_unit(data, key, size, 7);
    frame.data = data;
    frame.pts_us = frame.dts_us = clock_us;
    result = camrill_hls_write(hls, &frame);
    if (result == 0)
        clock_us += 40000;
    free(data);
    return result;
}

static int32_t write_audio(camrill_hls_t *hls)
{
    static const uint8_t adts[] = {0xff, 0xf1, 0x50, 0x80, 0x01, 0xbf, 0xfc, 1, 2, 3, 4, 5, 6};
    camrill_frame_t frame = CAMRILL_FRAME_INIT;
    frame.codec = CAMRILL_CODEC_AAC;
    frame.data = adts;
    frame.size = sizeof adts;
    frame.pts_us = frame.dts_us = clock_us;
    return camrill_hls_write(hls, &frame);
}

/* So many GOPs of one second. */
static void write_gops(struct host *h, camrill_hls_t *hls, int gops, size_t size)
{
    int i;
    for (i = 0; i < gops * 25; i++) {
        EQ(write_video(hls, i % 25 == 0, size), 0);
        EQ(write_audio(hls), 0);
        if (i % 25 == 0)
            CHECK(camrill_engine_poll(h->engine, 0) >= 0);
    }
    CHECK(camrill_engine_poll(h->engine, 0) >= 0);
}

static void camera_gops(struct host *h, struct camera *c, int gops)
{
    int i;
    for (i = 0; i < gops * 25; i++) {
        EQ(camera_video(c, i % 25 == 0, 500, 3), 0);
        CHECK(camrill_engine_poll(h->engine, 0) >= 0);
    }
}

static const struct kept *newest(int32_t kind)
{
    int i;
    for (i = kept.count; i-- > 0;)
        if (kept.files[i].kind == kind)
            return &kept.files[i];
    return NULL;
}

static int occurs(const char *text, const char *part)
{
    int n = 0;
    for (; (text = strstr(text, part)) != NULL; text++)
        n++;
    return n;
}

static void check_ts(const uint8_t *data, size_t size)
{
    size_t at;
    CHECK(size > 0 && size % 188 == 0);
    for (at = 0; at < size; at += 188)
        EQ(data[at], 0x47);
    /* The first packet is the PAT. */
    EQ((data[1] & 31) << 8 | data[2], 0);
}

/* The segments that a playlist names, in order; answers how many. `sum` gets their seconds. */
static int segments_of(const char *playlist, char names[][96], int max, double *sum)
{
    char text[8192], *line, *rest = NULL;
    double length = -1;
    int n = 0;
    CHECK(strncmp(playlist, "#EXTM3U\n", 8) == 0 && strlen(playlist) < sizeof text);
    strcpy(text, playlist);
    *sum = 0;
    for (line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        if (strncmp(line, "#EXTINF:", 8) == 0) {
            char *end;
            length = strtod(line + 8, &end);
            EQ(*end, ',');
        } else if (line[0] != '#') {
            CHECK(length > 0 && n < max);
            snprintf(names[n++], 96, "%s", line);
            *sum += length;
            length = -1;
        }
    }
    return n;
}

/* All of a file of HLS, behind its length as it was asked for before. */
static uint8_t *fetch(camrill_hls_t *hls, const char *name, size_t *size)
{
    int32_t length = camrill_hls_get(hls, name, NULL, NULL, 0);
    uint8_t *data;
    CHECK(length > 0);
    data = calloc(1, (size_t)length + 1);
    CHECK(data != NULL);
    EQ(camrill_hls_get(hls, name, NULL, data, (size_t)length - 1), length == 1 ? length : CAMRILL_EBUFFER);
    EQ(data[0], 0);
    EQ(camrill_hls_get(hls, name, NULL, data, (size_t)length), length);
    *size = (size_t)length;
    return data;
}

/* Every segment of the playlist is there, is TS, and was told before it was named. */
static int check_memory(camrill_hls_t *hls, int told)
{
    char names[32][96];
    size_t size;
    uint8_t *playlist = fetch(hls, NULL, &size);
    double sum;
    int i, j, n = segments_of((char *)playlist, names, 32, &sum);
    EQ(occurs((char *)playlist, "#EXTINF:"), n);
    if (told)
        EQ_TEXT((char *)newest(CAMRILL_HLS_PLAYLIST)->data, (char *)playlist);
    for (i = 0; i < n; i++) {
        uint8_t *data = fetch(hls, names[i], &size);
        check_ts(data, size);
        for (j = 0; told && strcmp(kept.files[j].name, names[i]) != 0; j++)
            CHECK(j < kept.count);
        if (told) {
            EQ(kept.files[j].size, size);
            EQ(memcmp(kept.files[j].data, data, size), 0);
        }
        free(data);
    }
    free(playlist);
    return n;
}

static void arguments(void)
{
    struct host h;
    camrill_hls_config_t config;
    camrill_hls_t *const untouched = (camrill_hls_t *)&kept;
    camrill_hls_t *hls = untouched;
    camrill_frame_t frame = CAMRILL_FRAME_INIT;
    uint8_t byte = 0;

    host_start(&h, 0);
    config = fed(&h);
    EQ(camrill_hls_new(NULL, &config, &hls), CAMRILL_EINVAL);
    EQ(camrill_hls_new(h.engine, NULL, &hls), CAMRILL_EINVAL);
    EQ(camrill_hls_new(h.engine, &config, NULL), CAMRILL_EINVAL);
#define REFUSED(change, error, word)                         \
    do {                                                     \
        config = fed(&h);                                    \
        change;                                              \
        EQ(camrill_hls_new(h.engine, &config, &hls), error); \
        CHECK(strstr(why(h.engine), word) != NULL);          \
    } while (0)
    REFUSED(config.struct_size = 0, CAMRILL_EINVAL, "struct_size");
    REFUSED(config.struct_size = 3, CAMRILL_EINVAL, "struct_size");
    REFUSED(config.format = 3, CAMRILL_EINVAL, "format is 3");
    REFUSED(config.format = -1, CAMRILL_EINVAL, "format");
    REFUSED(config.flags = 4, CAMRILL_EINVAL, "flags is 4");
    REFUSED(config.flags = 3, CAMRILL_EINVAL, "flags is 3");
    REFUSED(config.part_ms = 99, CAMRILL_EINVAL, "part_ms");
    REFUSED(config.part_ms = 5001, CAMRILL_EINVAL, "part_ms");
    REFUSED(config.max_bytes = 65535, CAMRILL_EINVAL, "max_bytes");
    REFUSED(config.max_bytes = UINT32_MAX, CAMRILL_EINVAL, "max_bytes");
    REFUSED(config.tracks.video_codec = 9, CAMRILL_EINVAL, "video_codec is 9");
    REFUSED(config.tracks.audio_codec = CAMRILL_CODEC_H264, CAMRILL_EINVAL, "audio_codec is 1");
    REFUSED(config.tracks.video_codec = config.tracks.audio_codec = 0, CAMRILL_EINVAL, "neither");
    REFUSED((config.tracks.audio_config = &byte, config.tracks.audio_config_size = 1), CAMRILL_EINVAL, "audio_config");
    REFUSED(config.app = "live", CAMRILL_EINVAL, "name is NULL");
    REFUSED(config.name = "a", CAMRILL_EINVAL, "app is NULL");
    REFUSED((config.app = "live", config.name = ".."), CAMRILL_EINVAL, "name is \"..\"");
    REFUSED((config.app = "live", config.name = ""), CAMRILL_EINVAL, "name is \"\"");
    REFUSED((config.app = "live", config.name = "\xff"), CAMRILL_EINVAL, "UTF-8");
    REFUSED((config.app = "live", config.name = "a\\b"), CAMRILL_ECONFIG, "not a name for a file");
    REFUSED((config.format = CAMRILL_HLS_TS, config.part_ms = 500), CAMRILL_EINVAL, "part_ms");
    REFUSED((config.format = CAMRILL_HLS_FMP4, config.fragments_per_key = 1), CAMRILL_EINVAL, "fragments_per_key");
    CHECK(hls == untouched && kept.freed == 0);
    /* A config as an older program has it ends before its callbacks. */
    config = fed(&h);
    config.struct_size = (uint32_t)offsetof(camrill_hls_config_t, user);
    EQ(camrill_hls_new(h.engine, &config, &hls), 0);
    write_gops(&h, hls, 5, 100);
    EQ(kept.count, 0);

    EQ(camrill_hls_write(NULL, &frame), CAMRILL_EINVAL);
    EQ_TEXT(why(NULL), "hls is NULL");
    EQ(camrill_hls_write(hls, NULL), CAMRILL_EINVAL);
    EQ(camrill_hls_write(hls, &frame), CAMRILL_EINVAL);
    frame.codec = CAMRILL_CODEC_H264;
    frame.data = &byte;
    frame.size = 1;
    EQ(camrill_hls_write(hls, &frame), CAMRILL_EFRAME);
    frame.codec = 77;
    EQ(camrill_hls_write(hls, &frame), CAMRILL_EINVAL);
    frame.struct_size = 8;
    EQ(camrill_hls_write(hls, &frame), CAMRILL_EINVAL);
    EQ(camrill_hls_get(NULL, NULL, NULL, NULL, 0), CAMRILL_EINVAL);
    EQ(camrill_hls_get(hls, NULL, NULL, NULL, 1), CAMRILL_EINVAL);
    EQ(camrill_hls_get(hls, "\xff", NULL, NULL, 0), CAMRILL_EINVAL);
    EQ(camrill_hls_get(hls, "none", NULL, NULL, 0), CAMRILL_ENOENT);
    EQ(camrill_hls_get(hls, "../live.m3u8", NULL, NULL, 0), CAMRILL_ENOENT);
    CHECK(camrill_hls_get(hls, "", "_HLS_skip=YES", NULL, 0) > 0);
    CHECK(camrill_hls_get(hls, "live.m3u8", NULL, NULL, 0) > 0);
    camrill_hls_free(NULL);
    camrill_hls_free(hls);
    CHECK(camrill_engine_poll(h.engine, 0) >= 0);
    EQ(kept.freed, 0);
    host_free(&h);
}

/* The host's frames: told and kept in memory, at any times. */
static void of_own_frames(void)
{
    struct host h;
    camrill_hls_config_t config;
    camrill_hls_t *hls;
    char names[32][96];
    double sum;
    int i, n;

    host_start(&h, 0);
    config = fed(&h);
    EQ(camrill_hls_new(h.engine, &config, &hls), 0);
    EQ(camrill_hls_get(hls, NULL, NULL, NULL, 0), CAMRILL_EAGAIN);
    clock_us = 5000000;
    /* Nobody could show these. */
    EQ(write_audio(hls), 0);
    write_gops(&h, hls, 11, 300);
    /* Five segments of two seconds; the sixth has begun. */
    EQ(kept.kinds[CAMRILL_HLS_SEGMENT], 5);
    EQ(kept.files[0].kind, CAMRILL_HLS_SEGMENT);
    EQ(kept.files[0].duration_us, 2000000);
    EQ_TEXT(kept.files[0].name, "0.ts");
    EQ_TEXT(kept.files[1].name, "live.m3u8");
    n = check_memory(hls, 1);
    CHECK(n >= 3 && n <= 5);
    n = segments_of((char *)newest(CAMRILL_HLS_PLAYLIST)->data, names, 32, &sum);
    CHECK(sum > n * 2 - 0.01 && sum < n * 2 + 0.01);
    EQ_TEXT(names[n - 1], "4.ts");
    /* What is told is told again until a poll takes it; what has expired was told before. */
    write_gops(&h, hls, 20, 300);
    CHECK(kept.removed > 0);
    EQ(camrill_hls_get(hls, "0.ts", NULL, NULL, 0), CAMRILL_ENOENT);
    CHECK(kept.files[0].removed);
    check_memory(hls, 1);
    /* Any time there is. */
    for (i = 0; i < 6; i++) {
        static const int64_t times[] = {INT64_MAX, INT64_MIN + 1, -1, 0, INT64_MIN + 1, INT64_MAX - 40000};
        clock_us = times[i] > INT64_MAX - 40000 ? INT64_MAX - 40000 : times[i];
        EQ(write_video(hls, i % 2 == 0, 100), 0);
    }
    n = kept.kinds[CAMRILL_HLS_PLAYLIST];
    camrill_hls_free(hls);
    EQ(kept.freed, 0);
    CHECK(camrill_engine_poll(h.engine, 0) > 0);
    EQ(kept.freed, 1);
    CHECK(kept.kinds[CAMRILL_HLS_PLAYLIST] > n);
    CHECK(strstr((char *)newest(CAMRILL_HLS_PLAYLIST)->data, "#EXT-X-ENDLIST") != NULL);
    host_free(&h);
    EQ(kept.freed, 1);
}

/* Audio alone, raw, behind an AudioSpecificConfig. */
static void of_audio(void)
{
    static const uint8_t asc[] = {0x12, 0x10};
    uint8_t data[100];
    struct host h;
    camrill_hls_config_t config;
    camrill_frame_t frame = CAMRILL_FRAME_INIT;
    camrill_hls_t *hls;
    int i;

    host_start(&h, 0);
    config = fed(&h);
    config.tracks.video_codec = 0;
    config.tracks.audio_config = asc;
    config.tracks.audio_config_size = sizeof asc;
    EQ(camrill_hls_new(h.engine, &config, &hls), 0);
    memset(data, 0x21, sizeof data);
    frame.codec = CAMRILL_CODEC_AAC;
    frame.data = data;
    frame.size = sizeof data;
    for (i = 0; i < 400; i++) {
        frame.pts_us = frame.dts_us = (int64_t)i * 1024000000 / 44100;
        EQ(camrill_hls_write(hls, &frame), 0);
    }
    CHECK(camrill_engine_poll(h.engine, 0) > 0);
    EQ(kept.kinds[CAMRILL_HLS_SEGMENT], 4);
    EQ(check_memory(hls, 1), 3);
    camrill_hls_free(hls);
    host_free(&h);
    EQ(kept.freed, 1);
}

/* A stream: whenever it is published, and the playlist goes on. */
static void of_a_stream(void)
{
    struct host h;
    struct camera c;
    camrill_hls_config_t config;
    camrill_hls_t *hls, *other;
    int n;

    host_start(&h, 0);
    config = of_stream(&h);
    config.vhost = "nowhere.example.com";
    EQ(camrill_hls_new(h.engine, &config, &hls), 0);
    EQ(camrill_hls_get(hls, NULL, NULL, NULL, 0), CAMRILL_EAGAIN);
    EQ(camera_new(&c, &h, "a"), 0);
    camera_gops(&h, &c, 7);
    EQ(kept.kinds[CAMRILL_HLS_SEGMENT], 3);
    EQ_TEXT(kept.files[0].name, "live/a-0.ts");
    EQ_TEXT(newest(CAMRILL_HLS_PLAYLIST)->name, "live/a.m3u8");
    n = occurs((char *)newest(CAMRILL_HLS_PLAYLIST)->data, "#EXT-X-DISCONTINUITY\n");
    EQ(n, 0);
    EQ(write_video(hls, 1, 10), CAMRILL_ESTATE);
    /* Another one joins, and ends, and this one does not notice. */
    config.user_free = NULL;
    config.on_file = NULL;
    config.on_remove = NULL;
    EQ(camrill_hls_new(h.engine, &config, &other), 0);
    camera_gops(&h, &c, 7);
    CHECK(camrill_hls_get(other, NULL, NULL, NULL, 0) > 0);
    camrill_hls_free(other);
    camera_gops(&h, &c, 1);
    n = occurs((char *)newest(CAMRILL_HLS_PLAYLIST)->data, "#EXT-X-DISCONTINUITY\n");
    EQ(n, 0);
    /* A reload leaves it alone, too. */
    EQ(camrill_config_apply(h.engine), 0);
    camera_gops(&h, &c, 5);
    n = occurs((char *)newest(CAMRILL_HLS_PLAYLIST)->data, "#EXT-X-DISCONTINUITY\n");
    EQ(n, 0);
    camrill_publisher_free(c.publisher);
    CHECK(camrill_engine_poll(h.engine, 100) > 0);
    EQ(camera_new(&c, &h, "a"), 0);
    camera_gops(&h, &c, 5);
    n = occurs((char *)newest(CAMRILL_HLS_PLAYLIST)->data, "#EXT-X-DISCONTINUITY\n");
    EQ(n, 1);
    /* What names a folder is not in the URIs beside the playlist. */
    CHECK(strstr((char *)newest(CAMRILL_HLS_PLAYLIST)->data, "\na-") != NULL);
    {
        camrill_stream_info_t info;
        camrill_id_t id;
        info.struct_size = sizeof info;
        EQ(camrill_streams(h.engine, &id, 1), 1);
        EQ(camrill_stream_info(h.engine, id, &info), 0);
        EQ(info.players, 0);
    }
    camrill_hls_free(hls);
    camrill_publisher_free(c.publisher);
    host_free(&h);
    EQ(kept.freed, 1);
}

/* Fragmented MP4 in parts; requests for what is to come. */
static void low_latency(void)
{
    struct host h;
    camrill_hls_config_t config;
    camrill_hls_t *hls;
    char query[64];
    size_t size;
    uint8_t *data;
    int i;

    host_start(&h, 0);
    config = fed(&h);
    config.part_ms = 500;
    config.flags = CAMRILL_HLS_NO_AUDIO;
    config.header = "first.mp4";
    config.segment = "s[seq].m4s";
    config.playlist = "index.m3u8";
    EQ(camrill_hls_new(h.engine, &config, &hls), 0);
    clock_us = 0;
    write_gops(&h, hls, 7, 300);
    EQ(kept.files[0].kind, CAMRILL_HLS_HEADER);
    EQ_TEXT(kept.files[0].name, "first.mp4");
    EQ(memcmp(kept.files[0].data + 4, "ftyp", 4), 0);
    CHECK(kept.kinds[CAMRILL_HLS_PART] >= 12);
    EQ(kept.kinds[CAMRILL_HLS_SEGMENT], 3);
    data = fetch(hls, "first.mp4", &size);
    EQ(size, kept.files[0].size);
    free(data);
    data = fetch(hls, "s1.m4s", &size);
    CHECK(memcmp(data + 4, "styp", 4) == 0 || memcmp(data + 4, "moof", 4) == 0);
    free(data);
    data = fetch(hls, "", &size);
    CHECK(strstr((char *)data, "CAN-BLOCK-RELOAD=YES") != NULL && strstr((char *)data, "s2.m4s") != NULL);
    free(data);
    CHECK(camrill_hls_get(hls, NULL, "_HLS_msn=2", NULL, 0) > 0);
    EQ(camrill_hls_get(hls, NULL, "_HLS_msn=3", NULL, 0), CAMRILL_EAGAIN);
    EQ(camrill_hls_get(hls, NULL, "_HLS_msn=9", NULL, 0), CAMRILL_EINVAL);
    CHECK(strstr(why(h.engine), "_HLS_msn=9") != NULL);
    EQ(camrill_hls_get(hls, NULL, "_HLS_msn=x", NULL, 0), CAMRILL_EINVAL);
    EQ(camrill_hls_get(hls, NULL, "_HLS_part=0", NULL, 0), CAMRILL_EINVAL);
    CHECK(camrill_hls_get(hls, NULL, "token=1&x", NULL, 0) > 0);
    /* The next part, until its frames have come. */
    for (i = 0; camrill_hls_get(hls, NULL, (snprintf(query, sizeof query, "_HLS_msn=3&_HLS_part=%d", i), query),
                                NULL, 0) > 0; i++)
        CHECK(i < 10);
    EQ(camrill_hls_get(hls, NULL, query, NULL, 0), CAMRILL_EAGAIN);
    for (i = 0; i < 13; i++)
        EQ(write_video(hls, 0, 200), 0);
    CHECK(camrill_hls_get(hls, NULL, query, NULL, 0) > 0);
    camrill_hls_free(hls);
    host_free(&h);
    EQ(kept.freed, 1);
}

/* Keys of two segments each, told and kept as the segments are. */
static void encrypted(void)
{
    struct host h;
    camrill_hls_config_t config;
    camrill_hls_t *hls;
    const char *playlist;
    uint8_t *data;
    size_t size;
    int i, keys = 0;

    host_start(&h, 0);
    config = fed(&h);
    config.fragments_per_key = 2;
    config.key = "k/[seq].key";
    config.key_url = "https://keys.example/";
    config.window_ms = 60000;
    EQ(camrill_hls_new(h.engine, &config, &hls), 0);
    clock_us = 0;
    write_gops(&h, hls, 11, 300);
    EQ(kept.kinds[CAMRILL_HLS_SEGMENT], 5);
    EQ(kept.kinds[CAMRILL_HLS_KEY], 3);
    EQ(kept.files[0].kind, CAMRILL_HLS_KEY);
    playlist = (char *)newest(CAMRILL_HLS_PLAYLIST)->data;
    EQ(occurs(playlist, "#EXT-X-KEY:METHOD=AES-128,URI=\"https://keys.example/k/"), 3);
    CHECK(strstr(playlist, "k/2.key") < strstr(playlist, "\n2.ts"));
    for (i = 0; i < kept.count; i++) {
        const struct kept *f = &kept.files[i];
        if (f->kind != CAMRILL_HLS_KEY && f->kind != CAMRILL_HLS_SEGMENT)
            continue;
        data = fetch(hls, f->name, &size);
        EQ(size, f->size);
        EQ(memcmp(data, f->data, size), 0);
        EQ(size % 16, 0);
        CHECK(f->kind == CAMRILL_HLS_KEY ? size == 16 : size > 188 && size % 188 != 0);
        CHECK(keys == 0 || memcmp(newest(CAMRILL_HLS_KEY)->data, kept.files[0].data, 16) != 0);
        keys += f->kind == CAMRILL_HLS_KEY;
        free(data);
    }
    camrill_hls_free(hls);
    host_free(&h);
}

static char folder[] = "/tmp/camrill-hls-XXXXXX";

static size_t file_size(const char *name)
{
    char path[256];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return stat(path, &st) == 0 ? (size_t)st.st_size : 0;
}

static void read_file(const char *name, uint8_t *data, size_t size)
{
    char path[256];
    FILE *file;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "rb");
    CHECK(file != NULL && fread(data, 1, size, file) == size);
    fclose(file);
}

/* In a folder, by the disk's thread; what has left the playlist is removed. */
static void in_a_folder(void)
{
    struct host h;
    camrill_hls_config_t config;
    camrill_hls_t *hls;
    char command[128], names[32][96];
    uint8_t *data = malloc(1 << 20);
    int64_t until = now_ms() + 20000;
    double sum;
    int i, n;
    size_t size;

    CHECK(data != NULL && mkdtemp(folder) != NULL);
    host_start(&h, 0);
    config = fed(&h);
    config.path = folder;
    config.on_file = NULL;
    config.on_remove = NULL;
    EQ(camrill_hls_new(h.engine, &config, &hls), 0);
    clock_us = 0;
    for (i = 0; i < 24; i++) {
        write_gops(&h, hls, 1, 300);
        usleep(2000);
    }
    /* They are not kept in memory. */
    EQ(camrill_hls_get(hls, "8.ts", NULL, NULL, 0), CAMRILL_ENOENT);
    CHECK(camrill_hls_get(hls, NULL, NULL, NULL, 0) > 0);
    camrill_hls_free(hls);
    CHECK(camrill_engine_poll(h.engine, 0) >= 0);
    EQ(kept.freed, 1);
    for (n = 0; !n && now_ms() < until; usleep(1000)) {
        CHECK(camrill_engine_poll(h.engine, 1) >= 0);
        size = file_size("live.m3u8");
        if (size == 0)
            continue;
        read_file("live.m3u8", data, size);
        data[size] = 0;
        if (strstr((char *)data, "#EXT-X-ENDLIST") != NULL)
            n = segments_of((char *)data, names, 32, &sum);
    }
    CHECK(n >= 3);
    for (i = 0; i < n; i++) {
        size = file_size(names[i]);
        CHECK(size > 0 && size < 1 << 20);
        read_file(names[i], data, size);
        check_ts(data, size);
    }
    EQ(file_size("0.ts"), 0);
    host_free(&h);
    free(data);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    EQ(system(command), 0);
}

/* What is told is bounded: the host polls, and goes on with the same frame. */
static void unpolled(void)
{
    struct host h;
    camrill_hls_config_t config;
    camrill_hls_t *hls;
    int i, refused = 0, polled;
    host_start(&h, 0);
    config = fed(&h);
    config.max_bytes = 65536;
    EQ(camrill_hls_new(h.engine, &config, &hls), 0);
    clock_us = 0;
    for (i = 0; i < 500; i++) {
        int32_t result = write_video(hls, i % 25 == 0, 1000);
        if (result == CAMRILL_EAGAIN) {
            CHECK(strstr(why(h.engine), "poll") != NULL);
            refused++;
            polled = camrill_engine_poll(h.engine, 0);
            CHECK(polled > 0);
            result = write_video(hls, i % 25 == 0, 1000);
        }
        EQ(result, 0);
    }
    CHECK(refused >= 3 && refused < 20);
    CHECK(camrill_engine_poll(h.engine, 0) >= 0);
    EQ(kept.kinds[CAMRILL_HLS_SEGMENT] >= 9, 1);
    EQ(occurs((char *)newest(CAMRILL_HLS_PLAYLIST)->data, "#EXT-X-DISCONTINUITY\n"), 0);
    camrill_hls_free(hls);
    host_free(&h);
    EQ(kept.freed, 1);
}

static void free_self(struct keeper *k, const camrill_hls_file_t *file)
{
    (void)file;
    if (k->hls != NULL) {
        camrill_hls_free(k->hls);
        k->hls = NULL;
        CHECK(!k->freed);
    }
}

static void free_engine(struct keeper *k, const camrill_hls_file_t *file)
{
    (void)file;
    if (!k->host->given_up) {
        camrill_engine_free(k->host->engine);
        k->host->given_up = 1;
        EQ(k->host->freed, 0);
        /* Deferred; and no use any more. */
        EQ(camrill_hls_get(k->hls, NULL, NULL, NULL, 0), CAMRILL_ESTATE);
        EQ(write_video(k->hls, 1, 100), CAMRILL_ESTATE);
    }
}

static void free_in_log(struct host *h, int32_t level, camrill_id_t client, const char *line)
{
    (void)level, (void)client, (void)line;
    if (kept.hls != NULL) {
        camrill_hls_t *hls = kept.hls;
        kept.hls = NULL;
        camrill_hls_free(hls);
        h->more = h;
    }
}

static void freeing(void)
{
    struct host h;
    struct camera c;
    camrill_hls_config_t config;
    camrill_hls_t *two;
    int i;

    /* In its own callback: what is left is told, then it is over. */
    host_start(&h, 0);
    config = fed(&h);
    EQ(camrill_hls_new(h.engine, &config, &kept.hls), 0);
    kept.on_file = free_self;
    clock_us = 0;
    for (i = 0; i < 101; i++)
        EQ(write_video(kept.hls, i % 25 == 0, 100), 0);
    EQ(kept.count, 0);
    CHECK(camrill_engine_poll(h.engine, 0) > 0);
    CHECK(kept.hls == NULL);
    EQ(kept.freed, 1);
    CHECK(strstr((char *)newest(CAMRILL_HLS_PLAYLIST)->data, "#EXT-X-ENDLIST") != NULL);
    host_free(&h);
    EQ(kept.freed, 1);

    /* The engine in its callback: nothing but user_free comes after. */
    host_start(&h, 0);
    config = fed(&h);
    EQ(camrill_hls_new(h.engine, &config, &kept.hls), 0);
    kept.on_file = free_engine;
    for (i = 0; i < 101; i++)
        EQ(write_video(kept.hls, i % 25 == 0, 100), 0);
    CHECK(camrill_engine_poll(h.engine, 0) > 0);
    EQ(kept.count, 1);
    EQ(kept.freed, 1);
    EQ(h.freed, 1);
    EQ(h.after, 0);
    EQ(write_video(kept.hls, 1, 100), CAMRILL_ESTATE);
    CHECK(strstr(why(NULL), "freed") != NULL);
    EQ(camrill_hls_get(kept.hls, NULL, NULL, NULL, 0), CAMRILL_ESTATE);
    camrill_hls_free(kept.hls);
    EQ(kept.freed, 1);

    /* The engine first, of a stream that goes on; two of one stream. */
    host_start(&h, 0);
    config = of_stream(&h);
    EQ(camrill_hls_new(h.engine, &config, &kept.hls), 0);
    config.user = NULL;
    config.user_free = NULL;
    config.on_file = NULL;
    config.on_remove = NULL;
    EQ(camrill_hls_new(h.engine, &config, &two), 0);
    EQ(camera_new(&c, &h, "a"), 0);
    camera_gops(&h, &c, 3);
    host_free(&h);
    EQ(kept.freed, 1);
    camrill_hls_free(kept.hls);
    EQ(camrill_hls_get(two, NULL, NULL, NULL, 0), CAMRILL_ESTATE);
    camrill_hls_free(two);
    camrill_publisher_free(c.publisher);
    EQ(kept.freed, 1);

    /* Freed, and the engine before anything is polled. */
    host_start(&h, 0);
    config = fed(&h);
    EQ(camrill_hls_new(h.engine, &config, &kept.hls), 0);
    camrill_hls_free(kept.hls);
    EQ(kept.freed, 0);
    host_free(&h);
    EQ(kept.freed, 1);

    /* In the log line of its own write: nobody polls, so that the disk's answers fill its queue. */
    host_start(&h, 0);
    config = fed(&h);
    config.path = "/dev/null/x";
    config.fragment_ms = 100;
    config.on_file = NULL;
    config.on_remove = NULL;
    EQ(camrill_hls_new(h.engine, &config, &kept.hls), 0);
    two = kept.hls;
    h.on_log = free_in_log;
    clock_us = 0;
    for (i = 0; h.more == NULL; i++) {
        CHECK(i < 10000);
        EQ(write_video(two, i % 5 == 0, 100), 0);
    }
    CHECK(camrill_engine_poll(h.engine, 100) >= 0);
    EQ(kept.freed, 1);
    host_free(&h);
    EQ(kept.freed, 1);
    keeper_clear(&kept);
}

int main(void)
{
    RUN(arguments);
    RUN(of_own_frames);
    RUN(of_audio);
    RUN(of_a_stream);
    RUN(low_latency);
    RUN(encrypted);
    RUN(in_a_folder);
    RUN(unpolled);
    RUN(freeing);
    return 0;
}
