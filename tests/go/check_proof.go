// check_proof reads a vkey, a .tlog-proof and an entry, as the audit pipeline writes them, with the Go project's own
// libraries for notes and trees. Nothing of it is shared with the Python code, so the two can only agree on the format.
//
//	check_proof VKEY PROOF ENTRY
//
// Exit code 0: the entry is in the log that the key signs; 1: it is not; 2: wrong use.
package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const proofTag = "c2sp.org/tlog-proof@v1"

// A proof is where an entry is in a log, and the hashes that show it, the leaf's sibling first.
type proof struct {
	index  int64
	hashes tlog.RecordProof
	note   []byte
}

// A head is what the text of a checkpoint says.
type head struct {
	origin string
	size   int64
	root   tlog.Hash
}

func parseHash(text string) (tlog.Hash, error) {
	var hash tlog.Hash
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return hash, err
	}
	if len(raw) != len(hash) {
		return hash, fmt.Errorf("a hash has %d bytes, this one %d", len(hash), len(raw))
	}
	copy(hash[:], raw)
	return hash, nil
}

func parseProof(text []byte) (proof, error) {
	var parsed proof
	opening, signed, found := bytes.Cut(text, []byte("\n\n"))
	lines := strings.Split(string(opening), "\n")
	if !found || len(lines) < 2 || lines[0] != proofTag || !strings.HasPrefix(lines[1], "index ") {
		return parsed, fmt.Errorf("not a proof with an index and a checkpoint")
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	if err != nil {
		return parsed, err
	}
	parsed.index, parsed.note = index, signed
	for _, line := range lines[2:] {
		hash, err := parseHash(line)
		if err != nil {
			return parsed, err
		}
		parsed.hashes = append(parsed.hashes, hash)
	}
	return parsed, nil
}

func parseHead(text string) (head, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return head{}, fmt.Errorf("a checkpoint has the lines origin, size and root")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return head{}, err
	}
	root, err := parseHash(lines[2])
	return head{lines[0], size, root}, err
}

// check returns the head that the entry is under.
func check(vkey string, text, entry []byte) (head, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return head{}, err
	}
	parsed, err := parseProof(text)
	if err != nil {
		return head{}, err
	}
	opened, err := note.Open(parsed.note, note.VerifierList(verifier))
	if err != nil {
		return head{}, err
	}
	signed, err := parseHead(opened.Text)
	if err != nil {
		return head{}, err
	}
	if signed.origin != verifier.Name() {
		return head{}, fmt.Errorf("the log is %s, the key of %s", signed.origin, verifier.Name())
	}
	return signed, tlog.CheckRecord(parsed.hashes, signed.size, signed.root, parsed.index, tlog.RecordHash(entry))
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: check_proof VKEY PROOF ENTRY")
		os.Exit(2)
	}
	var contents [3][]byte
	for i, path := range os.Args[1:] {
		content, err := os.ReadFile(path)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		contents[i] = content
	}
	signed, err := check(strings.TrimSuffix(string(contents[0]), "\n"), contents[1], contents[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("%s %d\n", signed.origin, signed.size)
}
