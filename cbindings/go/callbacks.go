package camrill

// #include "shim.h"
import "C"

import (
	"runtime/cgo"
	"unsafe"
)

func of[T any](user C.uintptr_t) T { return cgo.Handle(user).Value().(T) }

//export goFree
func goFree(user C.uintptr_t) { cgo.Handle(user).Delete() }

//export goLog
func goLog(user C.uintptr_t, level C.int32_t, client C.camrill_id_t, line *C.char) {
	e := of[*Engine](user)
	e.guarded(func() { e.config.OnLog(int(level), uint32(client), C.GoString(line)) })
}

//export goEvent
func goEvent(user C.uintptr_t, event *C.camrill_event_t) {
	e := of[*Engine](user)
	told := Event{int(event._type), uint32(event.client), uint32(event.stream), C.GoString(event.vhost),
		C.GoString(event.app), C.GoString(event.name), C.GoString(event.param), C.GoString(event.address),
		C.GoString(event.reason), C.GoString(event.path), int64(event.duration_us), uint64(event.bytes),
		uint32(event.relay), int(event.state), int(event.next_ms), C.GoString(event.url)}
	e.guarded(func() { e.config.OnEvent(told) })
}

//export goAdmission
func goAdmission(user C.uintptr_t, request *C.camrill_admission_t) C.int32_t {
	e := of[*Engine](user)
	asked := Admission{int(request.action), uint32(request.ticket), uint32(request.client),
		C.GoString(request.vhost), C.GoString(request.app), C.GoString(request.name), C.GoString(request.param),
		C.GoString(request.address), C.GoString(request.tc_url), C.GoString(request.page_url)}
	verdict := Deny
	e.guarded(func() { verdict = e.config.OnAdmission(asked) })
	return C.int32_t(verdict)
}

//export goCall
func goCall(user C.uintptr_t) {
	waited := of[*call](user)
	waited.engine.calls.take(cgo.Handle(user))
	waited.engine.guarded(waited.function)
}

//export goNeedKeyframe
func goNeedKeyframe(user C.uintptr_t) {
	p := of[*Publisher](user)
	p.engine.guarded(p.config.NeedKeyframe)
}

func track(info *C.camrill_track_info_t) *TrackInfo {
	if info == nil {
		return nil
	}
	return &TrackInfo{int(info.codec), uint32(info.fourcc), int(info.width), int(info.height),
		int(info.frame_rate_num), int(info.frame_rate_den), int(info.profile), int(info.level),
		int(info.sample_rate), int(info.channels),
		C.GoBytes(unsafe.Pointer(info.config), C.int(info.config_size))}
}

//export goTracks
func goTracks(user C.uintptr_t, video, audio *C.camrill_track_info_t) {
	p := of[*Player](user)
	if p.config.OnTracks != nil {
		p.engine.guarded(func() { p.config.OnTracks(track(video), track(audio)) })
	}
}

//export goPacket
func goPacket(user C.uintptr_t, raw *C.camrill_packet_t) {
	p := of[*Player](user)
	p.engine.guarded(func() { p.config.OnPacket(newPacket(raw)) })
}

//export goState
func goState(user C.uintptr_t, state *C.camrill_relay_state_t) {
	told := RelayState{int(state.direction), uint32(state.relay), uint32(state.stream), int(state.state),
		int(state.next_ms), C.GoString(state.reason), C.GoString(state.url)}
	w := of[watcher](user)
	engine, function := w.watches()
	if function != nil {
		engine.guarded(func() { function(told) })
	}
}

//export goFile
func goFile(user C.uintptr_t, file *C.camrill_recorder_file_t) {
	r := of[*Recorder](user)
	told := RecorderFile{int(file.what), C.GoString(file.path), C.GoString(file.reason), int64(file.duration_us),
		uint64(file.bytes), int(file.frames)}
	r.engine.guarded(func() { r.config.OnFile(told) })
}

// watcher has an OnState.
type watcher interface {
	watches() (*Engine, func(RelayState))
}
