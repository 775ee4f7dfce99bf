package camrill

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"runtime"
	"runtime/cgo"
	"unsafe"
)

// memory is what lies in C for the time of a call, since a struct given to C may hold no pointers of Go's.
type memory []unsafe.Pointer

func (m *memory) text(value string) *C.char {
	if value == "" {
		return nil
	}
	text := C.CString(value)
	*m = append(*m, unsafe.Pointer(text))
	return text
}

func (m *memory) bytes(value []byte) (*C.uint8_t, C.size_t) {
	if len(value) == 0 {
		return nil, 0
	}
	copied := C.CBytes(value)
	*m = append(*m, copied)
	return (*C.uint8_t)(copied), C.size_t(len(value))
}

func (m *memory) free() {
	for _, each := range *m {
		C.free(each)
	}
}

func (m *memory) tracks(t Tracks) (tracks C.camrill_tracks_t) {
	tracks.video_codec, tracks.audio_codec = C.int32_t(t.VideoCodec), C.int32_t(t.AudioCodec)
	tracks.video_format = C.int32_t(t.VideoFormat)
	tracks.audio_rate, tracks.audio_channels = C.uint32_t(t.AudioRate), C.uint32_t(t.AudioChannels)
	tracks.video_config, tracks.video_config_size = m.bytes(t.VideoConfig)
	tracks.audio_config, tracks.audio_config_size = m.bytes(t.AudioConfig)
	return
}

func retry(r Retry) C.camrill_retry_t {
	return C.camrill_retry_t{first_ms: C.uint32_t(r.FirstMs), longest_ms: C.uint32_t(r.LongestMs),
		tries: C.uint32_t(r.Tries), stable_ms: C.uint32_t(r.StableMs), connect_ms: C.uint32_t(r.ConnectMs),
		stall_ms: C.uint32_t(r.StallMs)}
}

// opened makes something of the engine that keeps `user` until the library needs it no more.
func (e *Engine) opened(user any, create func(C.uintptr_t) C.int32_t) error {
	if e.raw == nil {
		return ErrState
	}
	handle := cgo.NewHandle(user)
	if err := e.check(create(C.uintptr_t(handle))); err != nil {
		handle.Delete()
		return err
	}
	return nil
}

// PublisherConfig is how a publisher is made.
type PublisherConfig struct {
	Vhost, App, Name string
	Tracks           Tracks
	// QueueBytes of frames may wait for the loop; 0 means 4 MiB.
	QueueBytes int
	// NeedKeyframe is called in the loop where the encoder should make one.
	NeedKeyframe func()
}

// Publisher is a stream of this process's own. Writes come from one goroutine at a time, any one.
type Publisher struct {
	raw    *C.camrill_publisher_t
	engine *Engine
	config PublisherConfig
}

// Publish publishes a stream of this process's own. Close ends it.
func (e *Engine) Publish(config PublisherConfig) (*Publisher, error) {
	var m memory
	defer m.free()
	c := C.camrill_publisher_config_t{queue_bytes: C.uint32_t(config.QueueBytes), vhost: m.text(config.Vhost),
		app: m.text(config.App), name: m.text(config.Name), tracks: m.tracks(config.Tracks)}
	p := &Publisher{engine: e, config: config}
	err := e.opened(p, func(user C.uintptr_t) C.int32_t {
		return C.shim_publisher_new(e.raw, &c, user, flag(config.NeedKeyframe != nil), &p.raw)
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Write writes one frame, which is copied. dts TimeNone: the library makes it of pts. ErrAgain where the frame was
// dropped since the queue is full.
func (p *Publisher) Write(codec int, data []byte, pts, dts int64, flags uint32) error {
	if p.raw == nil {
		return ErrState
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var first *C.uint8_t
	if len(data) > 0 {
		first = (*C.uint8_t)(unsafe.Pointer(&data[0]))
	}
	answer := C.shim_publisher_write(p.raw, C.int32_t(codec), C.uint32_t(flags), C.int64_t(pts), C.int64_t(dts),
		first, C.size_t(len(data)))
	switch {
	case answer >= 0:
		return nil
	case answer == EAGAIN:
		return ErrAgain
	}
	return failed(nil, answer)
}

// WriteVideo writes a frame of the video track: a whole access unit, unless flags say otherwise.
func (p *Publisher) WriteVideo(data []byte, pts, dts int64, flags uint32) error {
	return p.Write(p.config.Tracks.VideoCodec, data, pts, dts, flags)
}

// WriteAudio writes a frame of the audio track.
func (p *Publisher) WriteAudio(data []byte, pts int64) error {
	return p.Write(p.config.Tracks.AudioCodec, data, pts, pts, 0)
}

// Close ends the publisher: what is queued still goes out.
func (p *Publisher) Close() {
	raw := p.raw
	p.raw = nil
	C.camrill_publisher_free(raw)
}

// Packet is one frame of a stream. It keeps its bytes until it is closed or collected, and is any goroutine's.
type Packet struct {
	raw *C.camrill_packet_t
	// Track is TrackVideo, TrackAudio or TrackData.
	Track, Codec int
	// Flags are PacketKey and PacketDiscontinuity.
	Flags uint32
	// Pts and Dts are in µs.
	Pts, Dts int64
}

func newPacket(raw *C.camrill_packet_t) *Packet {
	var info C.camrill_packet_info_t
	info.struct_size = C.uint32_t(unsafe.Sizeof(info))
	C.camrill_packet_info(raw, &info)
	C.camrill_packet_ref(raw)
	packet := &Packet{raw, int(info.track), int(info.codec), uint32(info.flags), int64(info.pts_us),
		int64(info.dts_us)}
	runtime.SetFinalizer(packet, (*Packet).Close)
	return packet
}

// Data is a copy of the packet's bytes.
func (p *Packet) Data() []byte {
	if p.raw == nil {
		return nil
	}
	var data *C.uint8_t
	var size C.size_t
	C.camrill_packet_data(p.raw, &data, &size)
	copied := C.GoBytes(unsafe.Pointer(data), C.int(size))
	runtime.KeepAlive(p)
	return copied
}

// Close lets go of the bytes. Not needed, but sooner than the collector.
func (p *Packet) Close() {
	raw := p.raw
	p.raw = nil
	C.camrill_packet_free(raw)
}

// PlayerConfig is how a player is made: of a stream of the engine's (App, Name), or of a URL or a file's path.
type PlayerConfig struct {
	Vhost, App, Name, URL string
	// Flags are Player….
	Flags uint32
	Retry Retry
	// OnPacket gets each packet, in the order of decoding.
	OnPacket func(*Packet)
	// OnTracks is told the tracks before the first packet and when they change; nil for one that isn't there.
	OnTracks func(video, audio *TrackInfo)
	// OnState is told each state.
	OnState func(RelayState)
}

// Player gives a stream's frames to OnPacket.
type Player struct {
	raw    *C.camrill_player_t
	engine *Engine
	config PlayerConfig
}

func (p *Player) watches() (*Engine, func(RelayState)) { return p.engine, p.config.OnState }

// Play has a stream's frames given to OnPacket. Close ends it.
func (e *Engine) Play(config PlayerConfig) (*Player, error) {
	if config.OnPacket == nil {
		return nil, &Error{EINVAL, "OnPacket is nil"}
	}
	var m memory
	defer m.free()
	c := C.camrill_player_config_t{flags: C.uint32_t(config.Flags), vhost: m.text(config.Vhost),
		app: m.text(config.App), name: m.text(config.Name), url: m.text(config.URL), retry: retry(config.Retry)}
	p := &Player{engine: e, config: config}
	err := e.opened(p, func(user C.uintptr_t) C.int32_t { return C.shim_player_new(e.raw, &c, user, &p.raw) })
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Pause has the player give no more packets, or go on.
func (p *Player) Pause(paused bool) error {
	return p.engine.check(C.camrill_player_pause(p.raw, flag(paused)))
}

// Close ends the player. Packets that were kept stay.
func (p *Player) Close() {
	raw := p.raw
	p.raw = nil
	C.camrill_player_free(raw)
}

// RecorderConfig is how a recorder is made: of a stream, to files like Path.
type RecorderConfig struct {
	Vhost, App, Name, Path string
	// Plan is RecorderSession, RecorderSegment or RecorderAppend.
	Plan                  int
	DurationMs, PrerollMs uint32
	Flags                 uint32
	// OnFile is told what becomes of each file.
	OnFile func(RecorderFile)
}

// Recorder records a stream.
type Recorder struct {
	raw    *C.camrill_recorder_t
	engine *Engine
	config RecorderConfig
}

// Record records a stream. Close ends it.
func (e *Engine) Record(config RecorderConfig) (*Recorder, error) {
	var m memory
	defer m.free()
	c := C.camrill_recorder_config_t{plan: C.int32_t(config.Plan), vhost: m.text(config.Vhost),
		app: m.text(config.App), name: m.text(config.Name), path: m.text(config.Path),
		duration_ms: C.uint32_t(config.DurationMs), preroll_ms: C.uint32_t(config.PrerollMs),
		flags: C.uint32_t(config.Flags)}
	r := &Recorder{engine: e, config: config}
	err := e.opened(r, func(user C.uintptr_t) C.int32_t {
		return C.shim_recorder_new(e.raw, &c, user, flag(config.OnFile != nil), &r.raw)
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Start begins to write; Stop ends the file and writes no more until Start.
func (r *Recorder) Start() error { return r.engine.check(C.camrill_recorder_start(r.raw)) }

// Stop ends the file and writes no more until Start.
func (r *Recorder) Stop() error { return r.engine.check(C.camrill_recorder_stop(r.raw)) }

// Close ends the recorder.
func (r *Recorder) Close() {
	raw := r.raw
	r.raw = nil
	C.camrill_recorder_free(raw)
}

// IngestConfig is how an ingest is made: of URLs, or of files.
type IngestConfig struct {
	Vhost, App, Name string
	Inputs           []string
	// Flags are Ingest….
	Flags uint32
	Retry Retry
	// OnState is told each state; where it is nil OnEvent of the engine is.
	OnState func(RelayState)
}

// Ingest pulls a stream in.
type Ingest struct {
	raw    *C.camrill_ingest_t
	engine *Engine
	config IngestConfig
}

func (i *Ingest) watches() (*Engine, func(RelayState)) { return i.engine, i.config.OnState }

// Ingest pulls a stream in and publishes it here. Close ends it.
func (e *Engine) Ingest(config IngestConfig) (*Ingest, error) {
	var m memory
	defer m.free()
	c := C.camrill_ingest_config_t{flags: C.uint32_t(config.Flags), vhost: m.text(config.Vhost),
		app: m.text(config.App), name: m.text(config.Name), retry: retry(config.Retry)}
	if count := len(config.Inputs); count > 0 {
		list := C.malloc(C.size_t(count) * C.size_t(unsafe.Sizeof(uintptr(0))))
		m = append(m, list)
		inputs := unsafe.Slice((**C.char)(list), count)
		for n, input := range config.Inputs {
			inputs[n] = m.text(input)
		}
		c.inputs, c.input_count = (**C.char)(list), C.size_t(count)
	}
	i := &Ingest{engine: e, config: config}
	err := e.opened(i, func(user C.uintptr_t) C.int32_t {
		return C.shim_ingest_new(e.raw, &c, user, flag(config.OnState != nil), &i.raw)
	})
	if err != nil {
		return nil, err
	}
	return i, nil
}

// Close ends the ingest: its stream is published no longer.
func (i *Ingest) Close() {
	raw := i.raw
	i.raw = nil
	C.camrill_ingest_free(raw)
}

// ForwardConfig is how a forward is made.
type ForwardConfig struct {
	Vhost, App, Name, URL string
	Retry                 Retry
	// OnState is told each state; where it is nil OnEvent of the engine is.
	OnState func(RelayState)
}

// Forward sends a stream on.
type Forward struct {
	raw    *C.camrill_forward_t
	engine *Engine
	config ForwardConfig
}

func (f *Forward) watches() (*Engine, func(RelayState)) { return f.engine, f.config.OnState }

// Forward sends a stream on to another server whenever it is published. Close ends it.
func (e *Engine) Forward(config ForwardConfig) (*Forward, error) {
	var m memory
	defer m.free()
	c := C.camrill_forward_config_t{vhost: m.text(config.Vhost), app: m.text(config.App),
		name: m.text(config.Name), url: m.text(config.URL), retry: retry(config.Retry)}
	f := &Forward{engine: e, config: config}
	err := e.opened(f, func(user C.uintptr_t) C.int32_t {
		return C.shim_forward_new(e.raw, &c, user, flag(config.OnState != nil), &f.raw)
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Close ends the forward: the server is told that the stream is over.
func (f *Forward) Close() {
	raw := f.raw
	f.raw = nil
	C.camrill_forward_free(raw)
}
