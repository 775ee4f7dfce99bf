// Package flv reads an FLV file of H.264 and AAC, as an encoder would give it: configurations, then frames.
package flv

import (
	"errors"
	"os"
)

// Frame is a frame: NAL units behind their lengths, or raw AAC.
type Frame struct {
	Video    bool
	Pts, Dts int64 // µs
	Data     []byte
}

// Clip is a file. VideoConfig is an avcC record, AudioConfig an AudioSpecificConfig; nil for a track that isn't there.
type Clip struct {
	VideoConfig, AudioConfig []byte
	Frames                   []Frame
}

// Read reads a file, as much of it as is whole.
func Read(path string) (*Clip, error) {
	bytes, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(bytes) < 13 || string(bytes[:3]) != "FLV" {
		return nil, errors.New(path + " is no FLV file")
	}
	clip := new(Clip)
	for rest := bytes[13:]; len(rest) >= 11; {
		size := int(rest[1])<<16 | int(rest[2])<<8 | int(rest[3])
		if len(rest) < 11+size+4 {
			break
		}
		time := int64(rest[7])<<24 | int64(rest[4])<<16 | int64(rest[5])<<8 | int64(rest[6])
		kind, body := rest[0], rest[11:11+size]
		rest = rest[11+size+4:]
		switch {
		case kind == 9 && size > 5 && body[0]&15 == 7 && body[1] == 0:
			clip.VideoConfig = body[5:]
		case kind == 9 && size > 5 && body[0]&15 == 7 && body[1] == 1:
			offset := int64(int32(uint32(body[2])<<24|uint32(body[3])<<16|uint32(body[4])<<8) >> 8)
			clip.Frames = append(clip.Frames, Frame{true, (time + offset) * 1000, time * 1000, body[5:]})
		case kind == 8 && size > 2 && body[0]>>4 == 10 && body[1] == 0:
			clip.AudioConfig = body[2:]
		case kind == 8 && size > 2 && body[0]>>4 == 10:
			clip.Frames = append(clip.Frames, Frame{false, time * 1000, time * 1000, body[2:]})
		}
	}
	return clip, nil
}
