// Package camrill is a live-streaming engine: publish from an encoder, play to frames, serve. It is the C library
// of that name, which is found with pkg-config.
//
//	engine, err := camrill.New(camrill.EngineConfig{OnEvent: func(e camrill.Event) { fmt.Println(e.Name) }})
//	engine.Set("listen", "1935")
//	engine.Apply()
//	engine.Run()
//
// An engine and all that was made of it belong to one goroutine at a time; callbacks run on the one that is in Run or
// Poll, and may call everything but these. What is for any goroutine says so. What a callback panics with is
// returned by Run or Poll as a *PanicError. Times are in microseconds.
package camrill

// #cgo pkg-config: camrill
// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/cgo"
	"runtime/debug"
	"sync"
	"unsafe"
)

// Error is a call that failed: Code is one of the constants E…, Text what was wrong, where, and what was expected.
type Error struct {
	Code int
	Text string
}

func (e *Error) Error() string { return e.Text }

// Is compares the codes, so that errors.Is(err, camrill.ErrAgain) works.
func (e *Error) Is(target error) bool {
	other, ok := target.(*Error)
	return ok && other.Code == e.Code
}

// ErrAgain is what a write answers that was dropped since the queue is full.
var ErrAgain = &Error{EAGAIN, "the queue is full"}

// ErrState is what is answered by what is closed, or whose engine is.
var ErrState = &Error{ESTATE, "it is closed"}

// PanicError is what a callback has panicked with, and where.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("a callback panicked: %v", e.Value) }

// LibraryVersion is the version of the library that runs, as Version is of the header.
func LibraryVersion() int { return int(C.camrill_version()) }

func init() {
	found := LibraryVersion()
	// While the major version is 0, a minor version may change what structs look like.
	if found>>16 != VersionMajor || found>>8&0xff < VersionMinor || VersionMajor == 0 && found>>8&0xff != VersionMinor {
		panic(fmt.Sprintf("camrill: the library has version %#x, and this package is for %#x", found, Version))
	}
}

// EngineConfig is how an engine is made; the zero value means the defaults.
type EngineConfig struct {
	// LogLevel is the last level that OnLog gets: LogError to LogTrace.
	LogLevel int
	// OnLog gets log lines, each with the client that it concerns or 0, inside any call.
	OnLog func(level int, client uint32, line string)
	// OnEvent gets what happens.
	OnEvent func(Event)
	// OnAdmission is asked before a client connects, publishes or plays: Allow, Deny or Pending. A panic refuses.
	OnAdmission func(Admission) int
}

// Engine is one server, one loop.
type Engine struct {
	raw    *C.camrill_engine_t
	config EngineConfig
	calls  calls

	mutex    sync.Mutex
	panicked *PanicError
	running  bool
}

// New makes an engine. It serves nothing until it is configured and Apply is called. Close frees it.
func New(config EngineConfig) (*Engine, error) {
	engine := &Engine{config: config}
	handle := cgo.NewHandle(engine)
	err := ofThread(func() C.int32_t {
		return C.shim_engine_new(C.int32_t(config.LogLevel), flag(config.OnLog != nil), flag(config.OnEvent != nil),
			flag(config.OnAdmission != nil), C.uintptr_t(handle), &engine.raw)
	})
	if err != nil {
		handle.Delete()
		return nil, err
	}
	return engine, nil
}

// Close frees the engine. Legal inside a callback. What was made of it is to be closed too, before or after.
func (e *Engine) Close() {
	raw := e.raw
	e.raw = nil
	if raw != nil {
		C.camrill_engine_free(raw)
		e.calls.drop()
	}
}

// Run runs the loop until Stop, or until a callback panics, which is the error then.
func (e *Engine) Run() error {
	return e.turning(func() C.int32_t {
		e.running = true
		defer func() { e.running = false }()
		return C.camrill_engine_run(e.raw)
	})
}

// Poll is one turn of the loop, which waits up to so many milliseconds (negative: without end) for something to do.
func (e *Engine) Poll(milliseconds int) error {
	return e.turning(func() C.int32_t { return C.camrill_engine_poll(e.raw, C.int32_t(milliseconds)) })
}

func (e *Engine) turning(turn func() C.int32_t) error {
	if e.raw == nil {
		return ErrState
	}
	answer := turn()
	e.mutex.Lock()
	panicked := e.panicked
	e.panicked = nil
	e.mutex.Unlock()
	if panicked != nil {
		return panicked
	}
	return e.check(answer)
}

// Stop makes Run return soon. For any goroutine, while the engine is not closed.
func (e *Engine) Stop() { C.camrill_engine_stop(e.raw) }

// Wake ends the wait of the Run or Poll that is going on. For any goroutine, while the engine is not closed.
func (e *Engine) Wake() { C.camrill_engine_wake(e.raw) }

// Call has the loop run a function; ErrAgain where too many wait already. For any goroutine, while the engine is not
// closed.
func (e *Engine) Call(function func()) error {
	handle := cgo.NewHandle(&call{e, function})
	e.calls.add(handle)
	if answer := C.shim_engine_call(e.raw, C.uintptr_t(handle)); answer < 0 {
		e.calls.take(handle)
		if answer == EAGAIN {
			return ErrAgain
		}
		return e.check(answer)
	}
	return nil
}

// Fd is the descriptor for a loop of one's own: when it is readable, or after Timeout, call Poll(0).
func (e *Engine) Fd() (int, error) { return e.count(C.camrill_engine_fd(e.raw)) }

// Timeout is how long such a loop may wait, in milliseconds.
func (e *Engine) Timeout() (int, error) { return e.count(C.camrill_engine_timeout_ms(e.raw)) }

// LoadFile loads a configuration in SRS's syntax. It holds from Apply on, as the others do.
func (e *Engine) LoadFile(path string) error {
	return e.with(path, func(text *C.char) C.int32_t { return C.camrill_config_load_file(e.raw, text) })
}

// LoadText loads a configuration from a string; name stands for the file in messages.
func (e *Engine) LoadText(name, content string) error {
	return e.with(name, func(name *C.char) C.int32_t {
		text := C.CString(content)
		defer C.free(unsafe.Pointer(text))
		return C.camrill_config_load_text(e.raw, name, text)
	})
}

// LoadEnv takes this process's environment variables that begin with SRS_.
func (e *Engine) LoadEnv() error { return e.check(C.camrill_config_load_env(e.raw)) }

// Set sets one directive: Set("vhost/cam.example.com/play/gop_cache", "off").
func (e *Engine) Set(path, value string) error {
	return e.with(path, func(path *C.char) C.int32_t {
		text := C.CString(value)
		defer C.free(unsafe.Pointer(text))
		return C.camrill_config_set(e.raw, path, text)
	})
}

// Get is the value that a directive has.
func (e *Engine) Get(path string) (string, error) {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	return e.text(func(buffer *C.char, size C.size_t) C.int32_t {
		return C.camrill_config_get(e.raw, name, buffer, size)
	})
}

// Print is the whole configuration as it stands.
func (e *Engine) Print() (string, error) {
	return e.text(func(buffer *C.char, size C.size_t) C.int32_t {
		return C.camrill_config_print(e.raw, buffer, size)
	})
}

// Check looks whether the configuration could be applied.
func (e *Engine) Check() error { return e.check(C.camrill_config_check(e.raw)) }

// Apply takes the configuration: the first time this starts serving, later it is a reload.
func (e *Engine) Apply() error { return e.check(C.camrill_config_apply(e.raw)) }

// Revert forgets what was loaded or set since the last Apply.
func (e *Engine) Revert() error { return e.check(C.camrill_config_revert(e.raw)) }

// Port is the port that "rtmp", "http", "api", "rtmps", … is served at.
func (e *Engine) Port(protocol string) (int, error) {
	text := C.CString(protocol)
	defer C.free(unsafe.Pointer(text))
	return e.count(C.camrill_engine_port(e.raw, text))
}

// Reply answers what OnAdmission left Pending, with Allow or Deny; why is what a refused client is told.
func (e *Engine) Reply(ticket uint32, verdict int, why string) error {
	return e.with(why, func(why *C.char) C.int32_t {
		return C.camrill_auth_reply(e.raw, C.camrill_id_t(ticket), C.int32_t(verdict), why)
	})
}

// Kick closes a client's connection.
func (e *Engine) Kick(client uint32) error {
	return e.check(C.camrill_client_kick(e.raw, C.camrill_id_t(client)))
}

// Stats is what the engine has done and holds.
func (e *Engine) Stats() (Stats, error) {
	var s C.camrill_stats_t
	s.struct_size = C.uint32_t(unsafe.Sizeof(s))
	if err := e.check(C.camrill_stats(e.raw, &s)); err != nil {
		return Stats{}, err
	}
	return Stats{int(s.connections), int(s.streams), int(s.publishers), int(s.players), uint64(s.accepted),
		uint64(s.refused), uint64(s.received_bytes), uint64(s.sent_bytes), uint64(s.media_bytes),
		uint64(s.uptime_us)}, nil
}

// Streams are all streams.
func (e *Engine) Streams() ([]StreamInfo, error) {
	count := C.camrill_streams(e.raw, nil, 0)
	if count <= 0 {
		return nil, e.check(count)
	}
	ids := make([]C.camrill_id_t, count)
	C.camrill_streams(e.raw, &ids[0], C.size_t(count))
	found := make([]StreamInfo, 0, count)
	for _, id := range ids {
		var s C.camrill_stream_info_t
		s.struct_size = C.uint32_t(unsafe.Sizeof(s))
		if err := e.check(C.camrill_stream_info(e.raw, id, &s)); err != nil {
			return nil, err
		}
		found = append(found, StreamInfo{uint32(s.id), s.published != 0, uint32(s.publisher), int(s.players),
			int(s.video_codec), int(s.width), int(s.height), int(s.audio_codec), int(s.sample_rate),
			int(s.channels), uint64(s.video_frames), uint64(s.audio_frames), uint64(s.dropped_frames),
			C.GoString(&s.vhost[0]), C.GoString(&s.app[0]), C.GoString(&s.name[0])})
	}
	return found, nil
}

// ---- what all calls share ----

func flag(is bool) C.int32_t {
	if is {
		return 1
	}
	return 0
}

func failed(engine *C.camrill_engine_t, code C.int32_t) error {
	var buffer [2048]C.char
	C.camrill_engine_last_error(engine, &buffer[0], C.size_t(len(buffer)))
	text := C.GoString(&buffer[0])
	if text == "" {
		text = C.GoString(C.camrill_strerror(code))
	}
	return &Error{int(code), text}
}

// ofThread is for calls that have no engine: their sentence is the thread's, which must not change in between.
func ofThread(function func() C.int32_t) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if answer := function(); answer < 0 {
		return failed(nil, answer)
	}
	return nil
}

func (e *Engine) check(answer C.int32_t) error {
	if answer >= 0 {
		return nil
	}
	if e.raw == nil {
		return ErrState
	}
	return failed(e.raw, answer)
}

func (e *Engine) count(answer C.int32_t) (int, error) {
	if err := e.check(answer); err != nil {
		return 0, err
	}
	return int(answer), nil
}

func (e *Engine) with(value string, function func(*C.char) C.int32_t) error {
	text := C.CString(value)
	defer C.free(unsafe.Pointer(text))
	return e.check(function(text))
}

func (e *Engine) text(read func(*C.char, C.size_t) C.int32_t) (string, error) {
	size, err := e.count(read(nil, 0))
	if err != nil {
		return "", err
	}
	buffer := make([]C.char, size+1)
	if err := e.check(read(&buffer[0], C.size_t(len(buffer)))); err != nil {
		return "", err
	}
	return C.GoString(&buffer[0]), nil
}

// guarded calls back. A panic doesn't reach C: the first is kept for Run or Poll.
func (e *Engine) guarded(function func()) {
	defer func() {
		value := recover()
		if value == nil {
			return
		}
		e.mutex.Lock()
		if e.panicked == nil {
			e.panicked = &PanicError{value, debug.Stack()}
		}
		e.mutex.Unlock()
		if e.running && e.raw != nil {
			C.camrill_engine_stop(e.raw)
		}
	}()
	function()
}

// call is what Call has been given.
type call struct {
	engine   *Engine
	function func()
}

// calls are those that have not run: they never do once the engine is gone.
type calls struct {
	mutex   sync.Mutex
	waiting map[cgo.Handle]struct{}
}

func (c *calls) add(handle cgo.Handle) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.waiting == nil {
		c.waiting = make(map[cgo.Handle]struct{})
	}
	c.waiting[handle] = struct{}{}
}

func (c *calls) take(handle cgo.Handle) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	delete(c.waiting, handle)
	handle.Delete()
}

func (c *calls) drop() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for handle := range c.waiting {
		handle.Delete()
	}
	c.waiting = nil
}

// IsCode says whether an error is the library's with this number.
func IsCode(err error, code int) bool {
	var failure *Error
	return errors.As(err, &failure) && failure.Code == code
}
