// What Go can't do itself in C: structs with pointers to Go's memory, and functions as callbacks. `user` is a
// cgo.Handle everywhere.
#ifndef SHIM_H
#define SHIM_H

#include <camrill.h>

int32_t shim_engine_new(int32_t level, int32_t logs, int32_t tells, int32_t asks, uintptr_t user,
                        camrill_engine_t **out);
int32_t shim_engine_call(camrill_engine_t *engine, uintptr_t user);
int32_t shim_publisher_new(camrill_engine_t *engine, camrill_publisher_config_t *config, uintptr_t user,
                           int32_t asks, camrill_publisher_t **out);
int32_t shim_publisher_write(camrill_publisher_t *publisher, int32_t codec, uint32_t flags, int64_t pts_us,
                             int64_t dts_us, const uint8_t *data, size_t size);
int32_t shim_player_new(camrill_engine_t *engine, camrill_player_config_t *config, uintptr_t user,
                        camrill_player_t **out);
int32_t shim_ingest_new(camrill_engine_t *engine, camrill_ingest_config_t *config, uintptr_t user, int32_t tells,
                        camrill_ingest_t **out);
int32_t shim_forward_new(camrill_engine_t *engine, camrill_forward_config_t *config, uintptr_t user,
                         int32_t tells, camrill_forward_t **out);
int32_t shim_recorder_new(camrill_engine_t *engine, camrill_recorder_config_t *config, uintptr_t user,
                          int32_t tells, camrill_recorder_t **out);

#endif
