package refreshtoken_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/refreshtoken"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/seal"
)

func newKeys(t *testing.T, letters string) refreshtoken.Keys {
	t.Helper()
	var secrets []masked.String
	for _, letter := range strings.Split(letters, "") {
		secrets = append(secrets, masked.New(strings.Repeat(letter, seal.KeySize)))
	}
	keys, err := refreshtoken.NewKeys(secrets)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func record(user, token string, saved time.Time) refreshtoken.Record {
	return refreshtoken.Record{User: refreshtoken.User{API: "https://a.example", ClientID: "c", ID: masked.New(user)}, Token: masked.New(token), Saved: saved}
}

func save(t *testing.T, storage certmagic.Storage, keys refreshtoken.Keys, r refreshtoken.Record) (name string) {
	t.Helper()
	name, value, err := keys.Seal(r)
	if err == nil {
		err = storage.Store(t.Context(), name, value)
	}
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// TestUsers checks that users with similar parts have different objects, and that an
// object cannot be moved to another user.
func TestUsers(t *testing.T) {
	storage, keys := &certmagic.FileStorage{Path: t.TempDir()}, newKeys(t, "a")
	names := make(map[string]bool)
	for _, u := range []refreshtoken.User{
		{"https://a.example", "c", masked.New("u")}, {"https://a.example", "cu", masked.New("")}, {"https://a.example", "", masked.New("cu")},
		{"https://a.examplec", "", masked.New("u")}, {"https://a.example", "c", masked.New("U")}, {"https://b.example", "c", masked.New("u")},
	} {
		names[save(t, storage, keys, refreshtoken.Record{User: u, Token: masked.New("t")})] = true
	}
	if len(names) != 6 {
		t.Errorf("%d objects", len(names))
	}
	mallory := save(t, storage, keys, record("mallory", "t", time.Now()))
	ada := save(t, storage, keys, record("ada", "t", time.Now()))
	value, err := storage.Load(t.Context(), mallory)
	if err == nil {
		err = storage.Store(t.Context(), ada, value)
	}
	if err != nil {
		t.Fatal(err)
	}
	if r, err := keys.Load(t.Context(), storage, record("ada", "", time.Time{}).User); !errors.Is(err, seal.ErrUnreadable) {
		t.Errorf("%v, %v", r, err)
	}
}

// TestNewest checks that the newest of several records of a user counts, whichever key
// encrypted it, and that Reseal keeps that one.
func TestNewest(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	for _, newer := range []string{"a", "b"} {
		storage := &certmagic.FileStorage{Path: t.TempDir()}
		for _, key := range []string{"a", "b"} {
			saved := now.Add(-time.Hour)
			if key == newer {
				saved = now
			}
			save(t, storage, newKeys(t, key), record("u", key, saved))
		}
		keys := newKeys(t, "ab")
		check := func(keys refreshtoken.Keys) {
			t.Helper()
			if r, err := keys.Load(t.Context(), storage, record("u", "", now).User); err != nil || r.Token.Reveal() != newer || !r.Saved.Equal(now) || r.User.ID.Reveal() != "u" {
				t.Errorf("%s: %+v, %v", newer, r, err)
			}
		}
		check(keys)
		done, err := keys.Reseal(t.Context(), storage)
		if err != nil || done != (refreshtoken.Resealed{Current: 1, Moved: 1}) {
			t.Errorf("%+v, %v", done, err)
		}
		check(newKeys(t, "a"))
		if found, err := newKeys(t, "b").Delete(t.Context(), storage, record("u", "", now).User); found || err != nil {
			t.Errorf("the old object is there: %v", err)
		}
	}
	if _, err := newKeys(t, "a").Load(t.Context(), &certmagic.FileStorage{Path: t.TempDir()}, record("u", "", now).User); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if done, err := newKeys(t, "a").Reseal(t.Context(), &certmagic.FileStorage{Path: t.TempDir()}); err != nil || done != (refreshtoken.Resealed{}) {
		t.Errorf("%+v, %v", done, err)
	}
}

// TestReplicas checks that two writers of one user leave a readable object.
func TestReplicas(t *testing.T) {
	storage, keys := &certmagic.FileStorage{Path: t.TempDir()}, newKeys(t, "a")
	var replicas sync.WaitGroup
	for replica := range 2 {
		var w refreshtoken.Writer
		w.SetStorage(storage)
		replicas.Go(func() {
			for i := range 50 {
				name, value, err := keys.Seal(record("u", fmt.Sprint(replica, "-", i), time.Now()))
				if err != nil {
					t.Error(err)
				}
				w.Write(name, value, func(err error) {
					if err != nil {
						t.Error(err)
					}
				})
			}
			w.Drain()
		})
	}
	replicas.Wait()
	if r, err := keys.Load(t.Context(), storage, record("u", "", time.Time{}).User); err != nil || !strings.HasSuffix(r.Token.Reveal(), "49") {
		t.Errorf("%v, %v", r, err)
	}
}

// TestNoStorage checks that tokens before the first config are counted as failed.
func TestNoStorage(t *testing.T) {
	var w refreshtoken.Writer
	failed := make(chan error, 1)
	w.Write("n", nil, func(err error) { failed <- err })
	if err := <-failed; err == nil {
		t.Error("no error")
	}
	w.Drain()
	w.Drain() // nothing waits
}

// TestErrorOfTheStorage checks that an error of the storage ends Load, Delete and Reseal.
func TestErrorOfTheStorage(t *testing.T) {
	keys, storage := newKeys(t, "ab"), broken{&certmagic.FileStorage{Path: t.TempDir()}}
	save(t, storage.Storage, keys, record("u", "t", time.Now()))
	u := record("u", "", time.Time{}).User
	if _, err := keys.Load(t.Context(), storage, u); !errors.Is(err, errBroken) {
		t.Error(err)
	}
	if _, err := keys.Delete(t.Context(), storage, u); !errors.Is(err, errBroken) {
		t.Error(err)
	}
	if _, err := keys.Reseal(t.Context(), storage); !errors.Is(err, errBroken) {
		t.Error(err)
	}
}

var errBroken = errors.New("broken")

// broken is a storage that cannot read or delete.
type broken struct{ certmagic.Storage }

func (broken) Load(context.Context, string) ([]byte, error) { return nil, errBroken }
func (broken) Delete(context.Context, string) error         { return errBroken }

// TestReadsObjectsOfReleases checks that refresh tokens which a release saved can still be
// read. Add an object when the format changes; never remove one.
func TestReadsObjectsOfReleases(t *testing.T) {
	want := record("ada", "token-1", time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC))
	for release, object := range map[string]struct{ name, value string }{
		"v0.1.0": {
			"caddy_huma/refresh_tokens/bd/bdcdc02ca740f1f7608f8501c4ef32152d0a8466f5c77219184e1e928c4facf4",
			"014f297b89649b5256f91f798096b9267948486c9356d890f3ad590f0414de69ed889e63a8132bb9694ab2e397202842a21ce30385637cde57418199be15e7be30482cd9294caf4a03ace08ffe97a1eb3967b155e0281547a03c65dc90d49d9ebb30773a6987401ffd8d26698a7eb09e9ed183873c1abf1a8a60ce973b260b50bea3f7fad9fbeec892d05477597f1b4ee6909936475e96c3299d202c80cce08dd8b0141a",
		},
	} {
		storage := &certmagic.FileStorage{Path: t.TempDir()}
		value, err := hex.DecodeString(object.value)
		if err == nil {
			err = storage.Store(t.Context(), object.name, value)
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err := newKeys(t, "ba").Load(t.Context(), storage, want.User)
		if err != nil || got.Token.Reveal() != want.Token.Reveal() || got.User.ID.Reveal() != "ada" || !got.Saved.Equal(want.Saved) {
			t.Errorf("%s: %v, %v", release, got, err)
		}
	}
}
