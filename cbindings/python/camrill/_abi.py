"""What camrill.h says. Generated from include/camrill.h by cbindings/generate.py: not to be changed by hand."""

import ctypes as c

CALLED = c.CFUNCTYPE(None, c.c_void_p)


class camrill_event_t(c.Structure):
    pass


class camrill_admission_t(c.Structure):
    pass


class camrill_engine_config_t(c.Structure):
    pass


class camrill_stats_t(c.Structure):
    pass


class camrill_stream_info_t(c.Structure):
    pass


class camrill_client_info_t(c.Structure):
    pass


class camrill_program_info_t(c.Structure):
    pass


class camrill_tracks_t(c.Structure):
    pass


class camrill_publisher_config_t(c.Structure):
    pass


class camrill_iov_t(c.Structure):
    pass


class camrill_frame_t(c.Structure):
    pass


class camrill_publisher_stats_t(c.Structure):
    pass


class camrill_http_request_t(c.Structure):
    pass


class camrill_http_mount_t(c.Structure):
    pass


class camrill_hls_file_t(c.Structure):
    pass


class camrill_hls_config_t(c.Structure):
    pass


class camrill_recorder_file_t(c.Structure):
    pass


class camrill_file_sink_t(c.Structure):
    pass


class camrill_recorder_config_t(c.Structure):
    pass


class camrill_retry_t(c.Structure):
    pass


class camrill_relay_state_t(c.Structure):
    pass


class camrill_ingest_config_t(c.Structure):
    pass


class camrill_relay_info_t(c.Structure):
    pass


class camrill_forward_config_t(c.Structure):
    pass


class camrill_track_info_t(c.Structure):
    pass


class camrill_player_config_t(c.Structure):
    pass


class camrill_player_info_t(c.Structure):
    pass


class camrill_packet_info_t(c.Structure):
    pass


class camrill_transport_t(c.Structure):
    pass


camrill_event_t._fields_ = [
    ("struct_size", c.c_uint32),
    ("type", c.c_int32),
    ("client", c.c_uint32),
    ("stream", c.c_uint32),
    ("vhost", c.c_char_p),
    ("app", c.c_char_p),
    ("name", c.c_char_p),
    ("param", c.c_char_p),
    ("address", c.c_char_p),
    ("reason", c.c_char_p),
    ("path", c.c_char_p),
    ("duration_us", c.c_int64),
    ("bytes", c.c_uint64),
    ("relay", c.c_uint32),
    ("state", c.c_int32),
    ("next_ms", c.c_uint32),
    ("reserved", c.c_uint32),
    ("url", c.c_char_p),
]

camrill_admission_t._fields_ = [
    ("struct_size", c.c_uint32),
    ("action", c.c_int32),
    ("ticket", c.c_uint32),
    ("client", c.c_uint32),
    ("vhost", c.c_char_p),
    ("app", c.c_char_p),
    ("name", c.c_char_p),
    ("param", c.c_char_p),
    ("address", c.c_char_p),
    ("tc_url", c.c_char_p),
    ("page_url", c.c_char_p),
]

camrill_engine_config_t_user_free = c.CFUNCTYPE(None, c.c_void_p)

camrill_engine_config_t_on_log = c.CFUNCTYPE(None, c.c_void_p, c.c_int32, c.c_uint32, c.c_char_p)

camrill_engine_config_t_on_event = c.CFUNCTYPE(None, c.c_void_p, c.POINTER(camrill_event_t))

camrill_engine_config_t_on_admission = c.CFUNCTYPE(c.c_int32, c.c_void_p, c.POINTER(camrill_admission_t))

camrill_engine_config_t_on_resolve = c.CFUNCTYPE(None, c.c_void_p, c.c_uint32, c.c_char_p, c.c_uint16)

camrill_engine_config_t._fields_ = [
    ("struct_size", c.c_uint32),
    ("log_level", c.c_int32),
    ("user", c.c_void_p),
    ("user_free", camrill_engine_config_t_user_free),
    ("on_log", camrill_engine_config_t_on_log),
    ("on_event", camrill_engine_config_t_on_event),
    ("on_admission", camrill_engine_config_t_on_admission),
    ("on_resolve", camrill_engine_config_t_on_resolve),
]

camrill_stats_t._fields_ = [
    ("struct_size", c.c_uint32),
    ("connections", c.c_uint32),
    ("streams", c.c_uint32),
    ("publishers", c.c_uint32),
    ("players", c.c_uint32),
    ("reserved", c.c_uint32),
    ("accepted", c.c_uint64),
    ("refused", c.c_uint64),
    ("received_bytes", c.c_uint64),
    ("sent_bytes", c.c_uint64),
    ("media_bytes", c.c_uint64),
    ("uptime_us", c.c_uint64),
]

camrill_stream_info_t._fields_ = [
    ("struct_size", c.c_uint32),
    ("id", c.c_uint32),
    ("published", c.c_int32),
    ("publisher", c.c_uint32),
    ("players", c.c_uint32),
    ("video_codec", c.c_int32),
    ("width", c.c_uint32),
    ("height", c.c_uint32),
    ("audio_codec", c.c_int32),
    ("sample_rate", c.c_uint32),
    ("channels", c.c_uint32),
    ("rate_hint", c.c_uint32),
    ("video_frames", c.c_uint64),
    ("audio_frames", c.c_uint64),
    ("dropped_frames", c.c_uint64),
    ("received_bytes", c.c_uint64),
    ("held_bytes", c.c_uint64),
    ("live_us", c.c_uint64),
    ("vhost", c.c_char * 256),
    ("app", c.c_char * 256),
    ("name", c.c_char * 256),
]

camrill_client_info_t._fields_ = [
    ("struct_size", c.c_uint32),
    ("id", c.c_uint32),
    ("doing", c.c_int32),
    ("stream", c.c_uint32),
    ("skips", c.c_uint32),
    ("reserved", c.c_uint32),
    ("received_bytes", c.c_uint64),
    ("sent_bytes", c.c_uint64),
    ("alive_us", c.c_uint64),
    ("address", c.c_char * 64),
    ("vhost", c.c_char * 256),
    ("app", c.c_char * 256),
    ("name", c.c_char * 256),
]

camrill_program_info_t._fields_ = [
    ("struct_size", c.c_uint32),
    ("argc", c.c_int32),
    ("name", c.c_char_p),
    ("argv", c.POINTER(c.c_char_p)),
    ("log", c.c_char_p),
]

camrill_tracks_t._fields_ = [
    ("video_codec", c.c_int32),
    ("audio_codec", c.c_int32),
    ("video_format", c.c_int32),
    ("audio_rate", c.c_uint32),
    ("audio_channels", c.c_uint32),
    ("reserved", c.c_uint32 * 3),
    ("video_config", c.c_void_p),
    ("video_config_size", c.c_size_t),
    ("audio_config", c.c_void_p),
    ("audio_config_size", c.c_size_t),
]

camrill_publisher_config_t_user_free = c.CFUNCTYPE(None, c.c_void_p)

camrill_publisher_config_t_need_keyframe = c.CFUNCTYPE(None, c.c_void_p)

camrill_publisher_config_t_rate_hint = c.CFUNCTYPE(None, c.c_void_p, c.c_uint32)

camrill_publisher_config_t._fields_ = [
    ("struct_size", c.c_uint32),
    ("queue_bytes", c.c_uint32),
    ("vhost", c.c_char_p),
    ("app", c.c_char_p),
    ("name", c.c_char_p),
    ("tracks", camrill_tracks_t),
    ("user", c.c_void_p),
    ("user_free", camrill_publisher_config_t_user_free),
    ("need_keyframe", camrill_publisher_config_t_need_keyframe),
    ("rate_hint", camrill_publisher_config_t_rate_hint),
    ("rate_min", c.c_uint32),
    ("rate_max", c.c_uint32),
    ("flags", c.c_uint32),
    ("max_hold_ms", c.c_uint32),
]

camrill_iov_t._fields_ = [
    ("data", c.c_void_p),
    ("size", c.c_size_t),
]

camrill_frame_t._fields_ = [
    ("struct_size", c.c_uint32),
    ("codec", c.c_int32),
    ("pts_us", c.c_int64),
    ("dts_us", c.c_int64),
    ("data", c.c_void_p),
    ("size", c.c_size_t),
    ("iov", c.POINTER(camrill_iov_t)),
    ("iov_count", c.c_size_t),
    ("flags", c.c_uint32),
    ("reserved", c.c_uint32),
]

camrill_publisher_stats_t._fields_ = [
    ("struct_size", c.c_uint32),
    ("written", c.c_uint32),
    ("dropped", c.c_uint32),
    ("queued_bytes", c.c_uint32),
    ("held", c.c_uint32),
    ("late_copies", c.c_uint32),
]

camrill_http_request_t._fields_ = [
    ("struct_size", c.c_uint32),
    ("ticket", c.c_uint32),
    ("client", c.c_uint32),
    ("mount", c.c_uint32),
    ("method", c.c_char_p),
    ("path", c.c_char_p),
    ("query", c.c_char_p),
    ("address", c.c_char_p),
    ("headers", c.c_char_p),
    ("body", c.c_void_p),
    ("body_size", c.c_size_t),
]

camrill_http_mount_t_user_free = c.CFUNCTYPE(None, c.c_void_p)

camrill_http_mount_t_on_request = c.CFUNCTYPE(None, c.c_void_p, c.POINTER(camrill_http_request_t))

camrill_http_mount_t_on_writable = c.CFUNCTYPE(None, c.c_void_p, c.c_uint32)

camrill_http_mount_t_on_closed = c.CFUNCTYPE(None, c.c_void_p, c.c_uint32)

camrill_http_mount_t._fields_ = [
    ("struct_size", c.c_uint32),
    ("ports", c.c_uint32),
    ("path", c.c_char_p),
    ("user", c.c_void_p),
    ("user_free", camrill_http_mount_t_user_free),
    ("on_request", camrill_http_mount_t_on_request),
    ("on_writable", camrill_http_mount_t_on_writable),
    ("on_closed", camrill_http_mount_t_on_closed),
]

camrill_hls_file_t._fields_ = [
    ("struct_size", c.c_uint32),
    ("kind", c.c_int32),
    ("name", c.c_char_p),
    ("data", c.c_void_p),
    ("size", c.c_size_t),
    ("duration_us", c.c_int64),
]

camrill_hls_config_t_user_free = c.CFUNCTYPE(None, c.c_void_p)

camrill_hls_config_t_on_file = c.CFUNCTYPE(None, c.c_void_p, c.POINTER(camrill_hls_file_t))

camrill_hls_config_t_on_remove = c.CFUNCTYPE(None, c.c_void_p, c.c_char_p)

camrill_hls_config_t._fields_ = [
    ("struct_size", c.c_uint32),
    ("format", c.c_int32),
    ("vhost", c.c_char_p),
    ("app", c.c_char_p),
    ("name", c.c_char_p),
    ("tracks", camrill_tracks_t),
    ("fragment_ms", c.c_uint32),
    ("window_ms", c.c_uint32),
    ("part_ms", c.c_uint32),
    ("max_bytes", c.c_uint32),
    ("flags", c.c_uint32),
    ("fragments_per_key", c.c_uint32),
    ("path", c.c_char_p),
    ("playlist", c.c_char_p),
    ("segment", c.c_char_p),
    ("header", c.c_char_p),
    ("user", c.c_void_p),
    ("user_free", camrill_hls_config_t_user_free),
    ("on_file", camrill_hls_config_t_on_file),
    ("on_remove", camrill_hls_config_t_on_remove),
    ("key", c.c_char_p),
    ("key_url", c.c_char_p),
]

camrill_recorder_file_t._fields_ = [
    ("struct_size", c.c_uint32),
    ("what", c.c_int32),
    ("path", c.c_char_p),
    ("reason", c.c_char_p),
    ("duration_us", c.c_int64),
    ("bytes", c.c_uint64),
    ("frames", c.c_uint32),
    ("reserved", c.c_uint32),
]

camrill_file_sink_t_open = c.CFUNCTYPE(c.c_int32, c.c_void_p, c.c_char_p, c.POINTER(c.c_void_p))

camrill_file_sink_t_write = c.CFUNCTYPE(c.c_int32, c.c_void_p, c.c_void_p, c.c_uint64, c.c_void_p, c.c_size_t)

camrill_file_sink_t_close = c.CFUNCTYPE(c.c_int32, c.c_void_p, c.c_void_p, c.c_int32)

camrill_file_sink_t._fields_ = [
    ("struct_size", c.c_uint32),
    ("reserved", c.c_uint32),
    ("open", camrill_file_sink_t_open),
    ("write", camrill_file_sink_t_write),
    ("close", camrill_file_sink_t_close),
]

camrill_recorder_config_t_user_free = c.CFUNCTYPE(None, c.c_void_p)

camrill_recorder_config_t_on_file = c.CFUNCTYPE(None, c.c_void_p, c.POINTER(camrill_recorder_file_t))

camrill_recorder_config_t._fields_ = [
    ("struct_size", c.c_uint32),
    ("plan", c.c_int32),
    ("vhost", c.c_char_p),
    ("app", c.c_char_p),
    ("name", c.c_char_p),
    ("tracks", camrill_tracks_t),
    ("path", c.c_char_p),
    ("duration_ms", c.c_uint32),
    ("fragment_ms", c.c_uint32),
    ("preroll_ms", c.c_uint32),
    ("preroll_bytes", c.c_uint32),
    ("keep_ms", c.c_uint32),
    ("max_age_s", c.c_uint32),
    ("max_bytes", c.c_uint64),
    ("flags", c.c_uint32),
    ("reserved", c.c_uint32),
    ("user", c.c_void_p),
    ("user_free", camrill_recorder_config_t_user_free),
    ("on_file", camrill_recorder_config_t_on_file),
    ("sink", c.POINTER(camrill_file_sink_t)),
]

camrill_retry_t._fields_ = [
    ("first_ms", c.c_uint32),
    ("longest_ms", c.c_uint32),
    ("tries", c.c_uint32),
    ("stable_ms", c.c_uint32),
    ("connect_ms", c.c_uint32),
    ("stall_ms", c.c_uint32),
    ("reserved", c.c_uint32 * 2),
]

camrill_relay_state_t._fields_ = [
    ("struct_size", c.c_uint32),
    ("direction", c.c_int32),
    ("relay", c.c_uint32),
    ("stream", c.c_uint32),
    ("state", c.c_int32),
    ("next_ms", c.c_uint32),
    ("reason", c.c_char_p),
    ("url", c.c_char_p),
]

camrill_ingest_config_t_user_free = c.CFUNCTYPE(None, c.c_void_p)

camrill_ingest_config_t_on_state = c.CFUNCTYPE(None, c.c_void_p, c.POINTER(camrill_relay_state_t))

camrill_ingest_config_t._fields_ = [
    ("struct_size", c.c_uint32),
    ("flags", c.c_uint32),
    ("vhost", c.c_char_p),
    ("app", c.c_char_p),
    ("name", c.c_char_p),
    ("inputs", c.POINTER(c.c_char_p)),
    ("input_count", c.c_size_t),
    ("linger_ms", c.c_uint32),
    ("reserved", c.c_uint32),
    ("retry", camrill_retry_t),
    ("user", c.c_void_p),
    ("user_free", camrill_ingest_config_t_user_free),
    ("on_state", camrill_ingest_config_t_on_state),
]

camrill_relay_info_t._fields_ = [
    ("struct_size", c.c_uint32),
    ("id", c.c_uint32),
    ("stream", c.c_uint32),
    ("direction", c.c_int32),
    ("state", c.c_int32),
    ("next_ms", c.c_uint32),
    ("failures", c.c_uint32),
    ("starts", c.c_uint32),
    ("skips", c.c_uint32),
    ("reserved", c.c_uint32),
    ("bytes", c.c_uint64),
    ("running_us", c.c_uint64),
    ("vhost", c.c_char * 256),
    ("app", c.c_char * 256),
    ("name", c.c_char * 256),
    ("url", c.c_char * 1024),
    ("reason", c.c_char * 256),
]

camrill_forward_config_t_user_free = c.CFUNCTYPE(None, c.c_void_p)

camrill_forward_config_t_on_state = c.CFUNCTYPE(None, c.c_void_p, c.POINTER(camrill_relay_state_t))

camrill_forward_config_t._fields_ = [
    ("struct_size", c.c_uint32),
    ("flags", c.c_uint32),
    ("vhost", c.c_char_p),
    ("app", c.c_char_p),
    ("name", c.c_char_p),
    ("url", c.c_char_p),
    ("retry", camrill_retry_t),
    ("user", c.c_void_p),
    ("user_free", camrill_forward_config_t_user_free),
    ("on_state", camrill_forward_config_t_on_state),
]

camrill_track_info_t._fields_ = [
    ("struct_size", c.c_uint32),
    ("codec", c.c_int32),
    ("fourcc", c.c_uint32),
    ("width", c.c_uint32),
    ("height", c.c_uint32),
    ("frame_rate_num", c.c_uint32),
    ("frame_rate_den", c.c_uint32),
    ("profile", c.c_uint32),
    ("level", c.c_uint32),
    ("sample_rate", c.c_uint32),
    ("channels", c.c_uint32),
    ("reserved", c.c_uint32),
    ("config", c.c_void_p),
    ("config_size", c.c_size_t),
]

camrill_player_config_t_user_free = c.CFUNCTYPE(None, c.c_void_p)

camrill_player_config_t_on_tracks = c.CFUNCTYPE(None, c.c_void_p, c.POINTER(camrill_track_info_t), c.POINTER(camrill_track_info_t))

camrill_player_config_t_on_packet = c.CFUNCTYPE(None, c.c_void_p, c.c_void_p)

camrill_player_config_t_on_state = c.CFUNCTYPE(None, c.c_void_p, c.POINTER(camrill_relay_state_t))

camrill_player_config_t._fields_ = [
    ("struct_size", c.c_uint32),
    ("flags", c.c_uint32),
    ("vhost", c.c_char_p),
    ("app", c.c_char_p),
    ("name", c.c_char_p),
    ("url", c.c_char_p),
    ("retry", camrill_retry_t),
    ("user", c.c_void_p),
    ("user_free", camrill_player_config_t_user_free),
    ("on_tracks", camrill_player_config_t_on_tracks),
    ("on_packet", camrill_player_config_t_on_packet),
    ("on_state", camrill_player_config_t_on_state),
]

camrill_player_info_t._fields_ = [
    ("struct_size", c.c_uint32),
    ("state", c.c_int32),
    ("stream", c.c_uint32),
    ("paused", c.c_int32),
    ("next_ms", c.c_uint32),
    ("failures", c.c_uint32),
    ("starts", c.c_uint32),
    ("skips", c.c_uint32),
    ("packets", c.c_uint64),
    ("bytes", c.c_uint64),
    ("received_bytes", c.c_uint64),
    ("url", c.c_char * 1024),
    ("reason", c.c_char * 256),
]

camrill_packet_info_t._fields_ = [
    ("struct_size", c.c_uint32),
    ("track", c.c_int32),
    ("codec", c.c_int32),
    ("flags", c.c_uint32),
    ("pts_us", c.c_int64),
    ("dts_us", c.c_int64),
    ("data", c.c_void_p),
    ("size", c.c_size_t),
    ("iov", c.POINTER(camrill_iov_t)),
    ("iov_count", c.c_size_t),
]

camrill_transport_t_user_free = c.CFUNCTYPE(None, c.c_void_p)

camrill_transport_t_open = c.CFUNCTYPE(c.c_void_p, c.c_void_p, c.c_void_p, c.c_char_p)

camrill_transport_t_handshake = c.CFUNCTYPE(c.c_int32, c.c_void_p)

camrill_transport_t_read = c.CFUNCTYPE(c.c_int32, c.c_void_p, c.c_void_p, c.c_size_t)

camrill_transport_t_write = c.CFUNCTYPE(c.c_int32, c.c_void_p, c.c_void_p, c.c_size_t)

camrill_transport_t_error = c.CFUNCTYPE(c.c_size_t, c.c_void_p, c.c_char_p, c.c_size_t)

camrill_transport_t_close = c.CFUNCTYPE(None, c.c_void_p)

camrill_transport_t._fields_ = [
    ("struct_size", c.c_uint32),
    ("reserved", c.c_uint32),
    ("user", c.c_void_p),
    ("user_free", camrill_transport_t_user_free),
    ("open", camrill_transport_t_open),
    ("handshake", camrill_transport_t_handshake),
    ("read", camrill_transport_t_read),
    ("write", camrill_transport_t_write),
    ("error", camrill_transport_t_error),
    ("close", camrill_transport_t_close),
]

STRUCTS: dict[str, type[c.Structure]] = {
    "camrill_event_t": camrill_event_t,
    "camrill_admission_t": camrill_admission_t,
    "camrill_engine_config_t": camrill_engine_config_t,
    "camrill_stats_t": camrill_stats_t,
    "camrill_stream_info_t": camrill_stream_info_t,
    "camrill_client_info_t": camrill_client_info_t,
    "camrill_program_info_t": camrill_program_info_t,
    "camrill_tracks_t": camrill_tracks_t,
    "camrill_publisher_config_t": camrill_publisher_config_t,
    "camrill_iov_t": camrill_iov_t,
    "camrill_frame_t": camrill_frame_t,
    "camrill_publisher_stats_t": camrill_publisher_stats_t,
    "camrill_http_request_t": camrill_http_request_t,
    "camrill_http_mount_t": camrill_http_mount_t,
    "camrill_hls_file_t": camrill_hls_file_t,
    "camrill_hls_config_t": camrill_hls_config_t,
    "camrill_recorder_file_t": camrill_recorder_file_t,
    "camrill_file_sink_t": camrill_file_sink_t,
    "camrill_recorder_config_t": camrill_recorder_config_t,
    "camrill_retry_t": camrill_retry_t,
    "camrill_relay_state_t": camrill_relay_state_t,
    "camrill_ingest_config_t": camrill_ingest_config_t,
    "camrill_relay_info_t": camrill_relay_info_t,
    "camrill_forward_config_t": camrill_forward_config_t,
    "camrill_track_info_t": camrill_track_info_t,
    "camrill_player_config_t": camrill_player_config_t,
    "camrill_player_info_t": camrill_player_info_t,
    "camrill_packet_info_t": camrill_packet_info_t,
    "camrill_transport_t": camrill_transport_t,
}

FUNCTIONS: dict[str, tuple[object, list[object]]] = {
    "camrill_version": (c.c_uint32, []),
    "camrill_strerror": (c.c_char_p, [c.c_int32]),
    "camrill_engine_new": (c.c_int32, [c.POINTER(camrill_engine_config_t), c.POINTER(c.c_void_p)]),
    "camrill_engine_free": (None, [c.c_void_p]),
    "camrill_engine_fd": (c.c_int32, [c.c_void_p]),
    "camrill_engine_timeout_ms": (c.c_int32, [c.c_void_p]),
    "camrill_engine_poll": (c.c_int32, [c.c_void_p, c.c_int32]),
    "camrill_engine_run": (c.c_int32, [c.c_void_p]),
    "camrill_engine_stop": (c.c_int32, [c.c_void_p]),
    "camrill_engine_wake": (c.c_int32, [c.c_void_p]),
    "camrill_engine_call": (c.c_int32, [c.c_void_p, CALLED, c.c_void_p]),
    "camrill_engine_last_error": (c.c_size_t, [c.c_void_p, c.c_char_p, c.c_size_t]),
    "camrill_config_load_file": (c.c_int32, [c.c_void_p, c.c_char_p]),
    "camrill_config_load_text": (c.c_int32, [c.c_void_p, c.c_char_p, c.c_char_p]),
    "camrill_config_load_env": (c.c_int32, [c.c_void_p]),
    "camrill_config_set": (c.c_int32, [c.c_void_p, c.c_char_p, c.c_char_p]),
    "camrill_config_get": (c.c_int32, [c.c_void_p, c.c_char_p, c.c_char_p, c.c_size_t]),
    "camrill_config_print": (c.c_int32, [c.c_void_p, c.c_char_p, c.c_size_t]),
    "camrill_config_check": (c.c_int32, [c.c_void_p]),
    "camrill_config_apply": (c.c_int32, [c.c_void_p]),
    "camrill_config_revert": (c.c_int32, [c.c_void_p]),
    "camrill_engine_port": (c.c_int32, [c.c_void_p, c.c_char_p]),
    "camrill_auth_reply": (c.c_int32, [c.c_void_p, c.c_uint32, c.c_int32, c.c_char_p]),
    "camrill_resolve_reply": (c.c_int32, [c.c_void_p, c.c_uint32, c.c_char_p]),
    "camrill_client_kick": (c.c_int32, [c.c_void_p, c.c_uint32]),
    "camrill_stats": (c.c_int32, [c.c_void_p, c.POINTER(camrill_stats_t)]),
    "camrill_streams": (c.c_int32, [c.c_void_p, c.POINTER(c.c_uint32), c.c_size_t]),
    "camrill_clients": (c.c_int32, [c.c_void_p, c.POINTER(c.c_uint32), c.c_size_t]),
    "camrill_stream_info": (c.c_int32, [c.c_void_p, c.c_uint32, c.POINTER(camrill_stream_info_t)]),
    "camrill_client_info": (c.c_int32, [c.c_void_p, c.c_uint32, c.POINTER(camrill_client_info_t)]),
    "camrill_programs": (c.c_int32, [c.c_void_p]),
    "camrill_program_info": (c.c_int32, [c.c_void_p, c.c_size_t, c.POINTER(camrill_program_info_t)]),
    "camrill_publisher_new": (c.c_int32, [c.c_void_p, c.POINTER(camrill_publisher_config_t), c.POINTER(c.c_void_p)]),
    "camrill_publisher_write": (c.c_int32, [c.c_void_p, c.POINTER(camrill_frame_t)]),
    "camrill_publisher_write_ref": (c.c_int32, [c.c_void_p, c.POINTER(camrill_frame_t), CALLED, c.c_void_p]),
    "camrill_publisher_stats": (c.c_int32, [c.c_void_p, c.POINTER(camrill_publisher_stats_t)]),
    "camrill_publisher_free": (None, [c.c_void_p]),
    "camrill_http_mount": (c.c_int32, [c.c_void_p, c.POINTER(camrill_http_mount_t), c.POINTER(c.c_uint32)]),
    "camrill_http_unmount": (c.c_int32, [c.c_void_p, c.c_uint32]),
    "camrill_http_request_header": (c.c_char_p, [c.POINTER(camrill_http_request_t), c.c_char_p]),
    "camrill_http_respond": (c.c_int32, [c.c_void_p, c.c_uint32, c.c_int32, c.c_char_p, c.c_void_p, c.c_size_t]),
    "camrill_http_begin": (c.c_int32, [c.c_void_p, c.c_uint32, c.c_int32, c.c_char_p, c.c_int64]),
    "camrill_http_write": (c.c_int32, [c.c_void_p, c.c_uint32, c.c_void_p, c.c_size_t]),
    "camrill_http_end": (c.c_int32, [c.c_void_p, c.c_uint32]),
    "camrill_hls_new": (c.c_int32, [c.c_void_p, c.POINTER(camrill_hls_config_t), c.POINTER(c.c_void_p)]),
    "camrill_hls_write": (c.c_int32, [c.c_void_p, c.POINTER(camrill_frame_t)]),
    "camrill_hls_get": (c.c_int32, [c.c_void_p, c.c_char_p, c.c_char_p, c.c_void_p, c.c_size_t]),
    "camrill_hls_free": (None, [c.c_void_p]),
    "camrill_recorder_new": (c.c_int32, [c.c_void_p, c.POINTER(camrill_recorder_config_t), c.POINTER(c.c_void_p)]),
    "camrill_recorder_write": (c.c_int32, [c.c_void_p, c.POINTER(camrill_frame_t)]),
    "camrill_recorder_start": (c.c_int32, [c.c_void_p]),
    "camrill_recorder_stop": (c.c_int32, [c.c_void_p]),
    "camrill_recorder_cut": (c.c_int32, [c.c_void_p, c.c_uint32]),
    "camrill_recorder_free": (None, [c.c_void_p]),
    "camrill_dvr_start": (c.c_int32, [c.c_void_p, c.c_char_p, c.c_char_p, c.c_char_p]),
    "camrill_dvr_stop": (c.c_int32, [c.c_void_p, c.c_char_p, c.c_char_p, c.c_char_p]),
    "camrill_dvr_cut": (c.c_int32, [c.c_void_p, c.c_char_p, c.c_char_p, c.c_char_p, c.c_uint32]),
    "camrill_ingest_new": (c.c_int32, [c.c_void_p, c.POINTER(camrill_ingest_config_t), c.POINTER(c.c_void_p)]),
    "camrill_ingest_info": (c.c_int32, [c.c_void_p, c.POINTER(camrill_relay_info_t)]),
    "camrill_ingest_free": (None, [c.c_void_p]),
    "camrill_forward_new": (c.c_int32, [c.c_void_p, c.POINTER(camrill_forward_config_t), c.POINTER(c.c_void_p)]),
    "camrill_forward_info": (c.c_int32, [c.c_void_p, c.POINTER(camrill_relay_info_t)]),
    "camrill_forward_free": (None, [c.c_void_p]),
    "camrill_relays": (c.c_int32, [c.c_void_p, c.POINTER(c.c_uint32), c.c_size_t]),
    "camrill_relay_info": (c.c_int32, [c.c_void_p, c.c_uint32, c.POINTER(camrill_relay_info_t)]),
    "camrill_player_new": (c.c_int32, [c.c_void_p, c.POINTER(camrill_player_config_t), c.POINTER(c.c_void_p)]),
    "camrill_player_pause": (c.c_int32, [c.c_void_p, c.c_int32]),
    "camrill_player_info": (c.c_int32, [c.c_void_p, c.POINTER(camrill_player_info_t)]),
    "camrill_player_free": (None, [c.c_void_p]),
    "camrill_packet_info": (c.c_int32, [c.c_void_p, c.POINTER(camrill_packet_info_t)]),
    "camrill_packet_data": (c.c_int32, [c.c_void_p, c.POINTER(c.c_void_p), c.POINTER(c.c_size_t)]),
    "camrill_packet_ref": (None, [c.c_void_p]),
    "camrill_packet_free": (None, [c.c_void_p]),
    "camrill_tls_set_certificate": (c.c_int32, [c.c_void_p, c.c_char_p, c.c_size_t, c.c_char_p, c.c_size_t]),
    "camrill_tls_set_roots": (c.c_int32, [c.c_void_p, c.c_char_p, c.c_size_t]),
    "camrill_engine_set_transport": (c.c_int32, [c.c_void_p, c.POINTER(camrill_transport_t)]),
    "camrill_io_send": (c.c_int32, [c.c_void_p, c.c_void_p, c.c_size_t]),
    "camrill_io_recv": (c.c_int32, [c.c_void_p, c.c_void_p, c.c_size_t]),
}
