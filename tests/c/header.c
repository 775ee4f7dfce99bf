/* The header by itself, twice, in C and in C++. Nothing of it is used but what an initializer needs. */
#include <camrill.h>
#include <camrill.h>

int main(void)
{
    camrill_engine_config_t engine = CAMRILL_ENGINE_CONFIG_INIT;
    camrill_publisher_config_t publisher = CAMRILL_PUBLISHER_CONFIG_INIT;
    camrill_frame_t frame = CAMRILL_FRAME_INIT;
    camrill_hls_config_t hls = CAMRILL_HLS_CONFIG_INIT;
    camrill_recorder_config_t recorder = CAMRILL_RECORDER_CONFIG_INIT;
    camrill_ingest_config_t ingest = CAMRILL_INGEST_CONFIG_INIT;
    camrill_forward_config_t forward = CAMRILL_FORWARD_CONFIG_INIT;
    camrill_retry_t retry = CAMRILL_RETRY_INIT;
    int32_t (*poll)(camrill_engine_t *, int32_t) = camrill_engine_poll;
    return (engine.struct_size == sizeof engine && publisher.struct_size == sizeof publisher &&
            frame.struct_size == sizeof frame && hls.struct_size == sizeof hls &&
            recorder.struct_size == sizeof recorder && ingest.struct_size == sizeof ingest &&
            forward.struct_size == sizeof forward && retry.reserved[1] == 0 && poll != NULL && CAMRILL_VERSION >= 0x100)
               ? 0
               : 1;
}
