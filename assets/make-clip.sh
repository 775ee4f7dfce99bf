#!/bin/sh
# Makes assets/clip.flv: ten seconds of a test picture with a running clock, and a sine with a beep
# each second. The server's virtual live and the tests play it, so it stays small and has what a
# camera's stream has: closed GOPs of two seconds, B-frames, stereo AAC.
#
#   apt-get install ffmpeg fonts-dejavu-core && assets/make-clip.sh
set -eu

cd "$(dirname "$0")"
font=/usr/share/fonts/truetype/dejavu/DejaVuSansMono-Bold.ttf
clock="drawtext=fontfile=$font:fontsize=56:fontcolor=white:box=1:boxcolor=black@0.7:boxborderw=14"
clock="$clock:text='%{pts\\:hms}':x=(w-text_w)/2:y=(h-text_h)/2-24"
name="drawtext=fontfile=$font:fontsize=22:fontcolor=white:box=1:boxcolor=black@0.7:boxborderw=8"
name="$name:text='camrill  frame %{n}':x=(w-text_w)/2:y=(h/2)+44"

ffmpeg -hide_banner -loglevel error -y \
    -f lavfi -i "testsrc2=size=640x360:rate=25:duration=10" \
    -f lavfi -i "sine=frequency=330:beep_factor=3:sample_rate=44100:duration=10" \
    -vf "$clock,$name,format=yuv420p" \
    -c:v libx264 -profile:v high -preset slow -b:v 215k -maxrate 300k -bufsize 430k \
    -g 50 -keyint_min 50 -sc_threshold 0 -bf 2 -x264-params "b-adapt=0:open-gop=0:b-pyramid=none" \
    -c:a aac -ac 2 -ar 44100 -b:a 64k \
    -map_metadata -1 -fflags +bitexact -flags:v +bitexact -flags:a +bitexact -threads 1 \
    -f flv clip.flv

ls -l clip.flv
