#include "shim.h"

#include "_cgo_export.h"

static void on_free(void *user) { goFree((uintptr_t)user); }

static void on_log(void *user, int32_t level, camrill_id_t client, const char *line)
{
    goLog((uintptr_t)user, level, client, (char *)line);
}

static void on_event(void *user, const camrill_event_t *event) { goEvent((uintptr_t)user, (camrill_event_t *)event); }

static int32_t on_admission(void *user, const camrill_admission_t *request)
{
    return goAdmission((uintptr_t)user, (camrill_admission_t *)request);
}

static void on_call(void *user) { goCall((uintptr_t)user); }

static void need_keyframe(void *user) { goNeedKeyframe((uintptr_t)user); }

static void on_tracks(void *user, const camrill_track_info_t *video, const camrill_track_info_t *audio)
{
    goTracks((uintptr_t)user, (camrill_track_info_t *)video, (camrill_track_info_t *)audio);
}

static void on_packet(void *user, camrill_packet_t *packet) { goPacket((uintptr_t)user, packet); }

static void on_state(void *user, const camrill_relay_state_t *state)
{
    goState((uintptr_t)user, (camrill_relay_state_t *)state);
}

static void on_file(void *user, const camrill_recorder_file_t *file)
{
    goFile((uintptr_t)user, (camrill_recorder_file_t *)file);
}

int32_t shim_engine_new(int32_t level, int32_t logs, int32_t tells, int32_t asks, uintptr_t user,
                        camrill_engine_t **out)
{
    camrill_engine_config_t config = CAMRILL_ENGINE_CONFIG_INIT;
    config.log_level = level;
    config.user = (void *)user;
    config.user_free = on_free;
    config.on_log = logs ? on_log : NULL;
    config.on_event = tells ? on_event : NULL;
    config.on_admission = asks ? on_admission : NULL;
    return camrill_engine_new(&config, out);
}

int32_t shim_engine_call(camrill_engine_t *engine, uintptr_t user)
{
    return camrill_engine_call(engine, on_call, (void *)user);
}

int32_t shim_publisher_new(camrill_engine_t *engine, camrill_publisher_config_t *config, uintptr_t user,
                           int32_t asks, camrill_publisher_t **out)
{
    config->struct_size = sizeof *config;
    config->user = (void *)user;
    config->user_free = on_free;
    config->need_keyframe = asks ? need_keyframe : NULL;
    return camrill_publisher_new(engine, config, out);
}

int32_t shim_publisher_write(camrill_publisher_t *publisher, int32_t codec, uint32_t flags, int64_t pts_us,
                             int64_t dts_us, const uint8_t *data, size_t size)
{
    camrill_frame_t frame = CAMRILL_FRAME_INIT;
    frame.codec = codec;
    frame.flags = flags;
    frame.pts_us = pts_us;
    frame.dts_us = dts_us;
    frame.data = data;
    frame.size = size;
    return camrill_publisher_write(publisher, &frame);
}

int32_t shim_player_new(camrill_engine_t *engine, camrill_player_config_t *config, uintptr_t user,
                        camrill_player_t **out)
{
    config->struct_size = sizeof *config;
    config->user = (void *)user;
    config->user_free = on_free;
    config->on_tracks = on_tracks;
    config->on_packet = on_packet;
    config->on_state = on_state;
    return camrill_player_new(engine, config, out);
}

int32_t shim_ingest_new(camrill_engine_t *engine, camrill_ingest_config_t *config, uintptr_t user, int32_t tells,
                        camrill_ingest_t **out)
{
    config->struct_size = sizeof *config;
    config->user = (void *)user;
    config->user_free = on_free;
    config->on_state = tells ? on_state : NULL;
    return camrill_ingest_new(engine, config, out);
}

int32_t shim_forward_new(camrill_engine_t *engine, camrill_forward_config_t *config, uintptr_t user,
                         int32_t tells, camrill_forward_t **out)
{
    config->struct_size = sizeof *config;
    config->user = (void *)user;
    config->user_free = on_free;
    config->on_state = tells ? on_state : NULL;
    return camrill_forward_new(engine, config, out);
}

int32_t shim_recorder_new(camrill_engine_t *engine, camrill_recorder_config_t *config, uintptr_t user,
                          int32_t tells, camrill_recorder_t **out)
{
    config->struct_size = sizeof *config;
    config->user = (void *)user;
    config->user_free = on_free;
    config->on_file = tells ? on_file : NULL;
    return camrill_recorder_new(engine, config, out);
}
