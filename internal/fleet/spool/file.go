package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"time"
)

// A record in a file is one event:
//
//	0   4  mark
//	4   1  0 it waits, 1 it is done: the one byte that is ever overwritten
//	5   1  length of the id
//	6   2  0
//	8   4  length of the data, big endian as all numbers
//	12  8  when it was appended: Unix time in nanoseconds
//	20  4  CRC-32C of bytes 5 to 19, the id and the data
//	24     id, data
const headerSize = 24

// mark begins a record. An event in UTF-8 can't contain it.
var mark = []byte{0xff, 'S', 'P', '1'}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type record struct {
	id   string
	data []byte
	at   time.Time

	offset int64 // in its file
	size   int64
	done   bool
}

func encode(r record) []byte {
	b := make([]byte, headerSize, headerSize+len(r.id)+len(r.data))
	copy(b, mark)
	b[5] = byte(len(r.id))
	binary.BigEndian.PutUint32(b[8:], uint32(len(r.data)))
	binary.BigEndian.PutUint64(b[12:], uint64(r.at.UnixNano()))
	b = append(append(b, r.id...), r.data...)
	binary.BigEndian.PutUint32(b[20:], sum(b))
	return b
}

func sum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[5:20], castagnoli), castagnoli, b[headerSize:])
}

// decode reads the record that b begins with. It isn't one if ok is false.
func decode(b []byte) (r record, ok bool) {
	if len(b) < headerSize || !bytes.HasPrefix(b, mark) || b[4] > 1 || b[5] == 0 {
		return record{}, false
	}
	id, data := int(b[5]), binary.BigEndian.Uint32(b[8:])
	if data > MaxData || len(b) < headerSize+id+int(data) {
		return record{}, false
	}
	b = b[:headerSize+id+int(data)]
	if binary.BigEndian.Uint32(b[20:]) != sum(b) {
		return record{}, false
	}
	return record{
		id: string(b[headerSize : headerSize+id]), data: b[headerSize+id:], at: time.Unix(0, int64(binary.BigEndian.Uint64(b[12:]))),
		size: int64(len(b)), done: b[4] == 1,
	}, true
}

// find is the first record in b, and how many bytes before it are none. Without one these are all.
func find(b []byte) (r record, skipped int, ok bool) {
	for skipped < len(b) {
		if r, ok = decode(b[skipped:]); ok {
			return r, skipped, true
		}
		i := bytes.Index(b[skipped+1:], mark)
		if i < 0 {
			break
		}
		skipped += 1 + i
	}
	return record{}, len(b), false
}

// A file holds records. It is open only while it is used.
type file struct {
	dir    *directory
	number uint64

	f       *os.File // nil: not open
	size    int64    // bytes of it that are records
	at      int64    // where the first is that may wait
	waiting int      // records that wait
	broken  bool     // nothing is to be appended: what is behind size isn't known
}

func (f *file) acquire() error {
	if f.f != nil {
		return nil
	}
	opened, err := f.dir.openFile(f.number, os.O_RDWR)
	f.f = opened
	return err
}

func (f *file) release() {
	if f.f != nil {
		_ = f.f.Close()
	}
	f.f = nil
}

// load finds out what is in a file that another process has left. What follows the last event of the
// last file is of an Append that didn't come to its end, and is cut off. Other bytes that are no event
// stay, for first to tell of.
func (f *file) load(last bool) error {
	b, err := f.read(0, -1)
	if err != nil {
		return err
	}
	begin, end := -1, 0 // of what may wait, and of the last record
	for end < len(b) {
		r, skipped, ok := find(b[end:])
		if !ok {
			break
		}
		if begin < 0 && (skipped > 0 || !r.done) {
			begin = end
		}
		if !r.done {
			f.waiting++
		}
		end += skipped + int(r.size)
	}
	switch rest := b[end:]; {
	case len(rest) == 0:
	case last && !whole(rest):
		f.broken = f.f.Truncate(int64(end)) != nil
	default:
		if begin < 0 {
			begin = end
		}
		end, f.broken = len(b), true
	}
	if begin < 0 {
		begin = end
	}
	f.at, f.size = int64(begin), int64(end)
	return nil
}

// whole reports whether b would be a record but for its sum: it wasn't cut short.
func whole(b []byte) bool {
	return len(b) >= headerSize && bytes.HasPrefix(b, mark) && len(b) >= headerSize+int(b[5])+int(binary.BigEndian.Uint32(b[8:]))
}

// read reads n bytes from an offset, or all that follows if n is negative.
func (f *file) read(from, n int64) ([]byte, error) {
	if err := f.acquire(); err != nil {
		return nil, err
	}
	if n < 0 {
		info, err := f.f.Stat()
		if err != nil {
			return nil, err
		}
		n = max(0, min(info.Size(), maxFile)-from)
	}
	b := make([]byte, n)
	got, err := f.f.ReadAt(b, from)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return b[:got], err
}

// maxFile is what a file of this package may have at most: it ends with the record that passes mostFile.
const maxFile = mostFile + headerSize + MaxID + MaxData

// first is the first record that waits; nil: none does.
func (f *file) first(damaged func(Damage)) (*record, error) {
	for f.at < f.size {
		b, err := f.read(f.at, min(f.size-f.at, usual))
		if err != nil {
			return nil, err
		}
		r, ok := decode(b)
		if !ok { // it is longer, or none
			if r, ok, err = f.search(damaged); err != nil {
				return nil, err
			}
			if !ok {
				return nil, nil
			}
		}
		if !r.done {
			r.offset = f.at
			return &r, nil
		}
		f.at += r.size
	}
	return nil, nil
}

const usual = 4 << 10 // bytes that an event has at most, mostly

// search goes to the next record, which damage may have put farther away.
func (f *file) search(damaged func(Damage)) (record, bool, error) {
	b, err := f.read(f.at, f.size-f.at)
	if err != nil {
		return record{}, false, err
	}
	r, skipped, ok := find(b)
	if ok && skipped == 0 {
		return r, true, nil
	}
	damaged(Damage{f.dir.file(f.number), f.at, int64(skipped)})
	f.at += int64(skipped)
	if !ok {
		f.at = f.size // the file may be shorter than it was
	}
	f.waiting = 0
	for at := skipped; at < len(b); {
		one, gap, ok := find(b[at:])
		if ok && !one.done {
			f.waiting++
		}
		at += gap + int(one.size)
	}
	return r, ok, nil
}

// append writes a record behind the others, and syncs the file. If that fails nothing stays.
func (f *file) append(b []byte) error {
	_, err := f.f.WriteAt(b, f.size)
	if err == nil {
		if err = f.f.Sync(); err != nil {
			f.broken = true // the kernel may have dropped what it couldn't write, and say so only once
		}
	}
	if err != nil {
		if f.f.Truncate(f.size) != nil {
			f.broken = true
		}
		return err
	}
	f.size += int64(len(b))
	f.waiting++
	return nil
}

// done marks the first record, in place: that takes no room on the disk.
func (f *file) done(r *record) error {
	if err := f.acquire(); err != nil {
		return err
	}
	if _, err := f.f.WriteAt([]byte{1}, r.offset+4); err != nil {
		return err
	}
	f.at = r.offset + r.size
	f.waiting--
	return nil
}

// empty makes room in a file of which nothing waits.
func (f *file) empty() error {
	if err := f.acquire(); err != nil {
		return err
	}
	if err := f.f.Truncate(0); err != nil {
		return err
	}
	f.size, f.at = 0, 0
	return nil
}
