package camrill

// Event is what happened: Type is one of Event….
type Event struct {
	Type                                           int
	Client, Stream                                 uint32
	Vhost, App, Name, Param, Address, Reason, Path string
	DurationUs                                     int64
	Bytes                                          uint64
	Relay                                          uint32
	State, NextMs                                  int
	URL                                            string
}

// Admission is what a client asks for: Action is one of Action….
type Admission struct {
	Action                                           int
	Ticket, Client                                   uint32
	Vhost, App, Name, Param, Address, TcURL, PageURL string
}

// Stats is what an engine has done and holds.
type Stats struct {
	Connections, Streams, Publishers, Players                         int
	Accepted, Refused, ReceivedBytes, SentBytes, MediaBytes, UptimeUs uint64
}

// StreamInfo is one stream.
type StreamInfo struct {
	ID                                             uint32
	Published                                      bool
	Publisher                                      uint32
	Players, VideoCodec, Width, Height, AudioCodec int
	SampleRate, Channels                           int
	VideoFrames, AudioFrames, DroppedFrames        uint64
	Vhost, App, Name                               string
}

// RelayState is what an ingest, a forward or a player has entered: State is one of Relay….
type RelayState struct {
	Direction     int
	Relay, Stream uint32
	State, NextMs int
	Reason, URL   string
}

// RecorderFile is what became of a recorder's file: What is one of RecorderOpened, RecorderClosed, ….
type RecorderFile struct {
	What         int
	Path, Reason string
	DurationUs   int64
	Bytes        uint64
	Frames       int
}

// TrackInfo is what a track is; what isn't known is 0. Config is the codec's: avcC, AudioSpecificConfig, ….
type TrackInfo struct {
	Codec                                                     int
	FourCC                                                    uint32
	Width, Height, FrameRateNum, FrameRateDen, Profile, Level int
	SampleRate, Channels                                      int
	Config                                                    []byte
}

// Tracks are what is written. Config are parameter sets given once: an avcC or hvcC record or Annex B, an
// AudioSpecificConfig or an OpusHead; nil where they come with the frames.
type Tracks struct {
	VideoCodec, AudioCodec, VideoFormat int
	VideoConfig, AudioConfig            []byte
	AudioRate, AudioChannels            int
}

// Retry is how often an ingest, a forward or a player of a URL is tried, and for how long; 0 means the default.
type Retry struct {
	FirstMs, LongestMs, Tries, StableMs, ConnectMs, StallMs uint32
}
