// Package refreshtoken saves the refresh tokens of Human API (id_refresh_token) in Caddy's
// storage: encrypted, and under names that do not reveal the user.
package refreshtoken

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/seal"
)

// Prefix is the start of the names of all objects.
const Prefix = "caddy_huma/refresh_tokens"

// User is the user of a refresh token: an ID, which is unique in one application of one
// Human API.
type User struct {
	API      string // base URL of Human API
	ClientID string
	ID       masked.String
}

// Record is a saved refresh token.
type Record struct {
	User  User
	Token masked.String
	Saved time.Time // in whole seconds
}

// document is the text of an object before it is encrypted.
type document struct {
	API      string    `json:"api"`
	ClientID string    `json:"client_id"`
	UserID   string    `json:"user_id"`
	Token    string    `json:"id_refresh_token"`
	Saved    time.Time `json:"saved"`
}

// Keys are the encryption keys: the first one encrypts, all of them decrypt. It is
// immutable.
type Keys []key

// key is one encryption key, and the key of the names that is derived from it. So an
// attacker who reads the storage cannot find out whether it has an object of a user.
type key struct {
	sealer *seal.Sealer
	name   masked.String
}

// NewKeys returns Keys. It fails if there is no key, or one that does not have
// seal.KeySize bytes.
func NewKeys(secrets []masked.String) (Keys, error) {
	if len(secrets) == 0 {
		return nil, errors.New("no encryption key")
	}
	var all Keys
	for _, secret := range secrets {
		sealer, err := seal.New([]masked.String{secret})
		if err != nil {
			return nil, err
		}
		mac := hmac.New(sha256.New, []byte(secret.Reveal()))
		mac.Write([]byte("caddy_huma refresh token name"))
		all = append(all, key{sealer, masked.New(string(mac.Sum(nil)))})
	}
	return all, nil
}

// objectName returns the name of the object of a user.
func (k key) objectName(u User) string {
	mac := hmac.New(sha256.New, []byte(k.name.Reveal()))
	for _, part := range []string{u.API, u.ClientID, u.ID.Reveal()} {
		_, _ = fmt.Fprintf(mac, "%d:%s", len(part), part)
	}
	sum := hex.EncodeToString(mac.Sum(nil))
	return path.Join(Prefix, sum[:2], sum)
}

// Seal returns the object of a record, encrypted with the first key, and its name.
func (k Keys) Seal(r Record) (name string, value []byte, err error) {
	text, err := json.Marshal(document{r.User.API, r.User.ClientID, r.User.ID.Reveal(), r.Token.Reveal(), r.Saved.UTC().Truncate(time.Second)})
	if err != nil {
		return "", nil, err
	}
	name = k[0].objectName(r.User)
	return name, k[0].sealer.Seal(text, name, ""), nil
}

// open returns the record of an object. current is true if the first key encrypted it.
func (k Keys) open(name string, value []byte) (r Record, current bool, err error) {
	for i, key := range k {
		text, err := key.sealer.Open(value, name, "")
		if err != nil {
			continue
		}
		var d document
		if err := json.Unmarshal(text, &d); err != nil {
			return r, false, seal.ErrUnreadable // of another version
		}
		return Record{User{d.API, d.ClientID, masked.New(d.UserID)}, masked.New(d.Token), d.Saved}, i == 0, nil
	}
	return r, false, seal.ErrUnreadable
}

// Load returns the record of a user, or fs.ErrNotExist if there is none. If there are
// several, because replicas encrypt with different keys, it returns the newest one.
func (k Keys) Load(ctx context.Context, storage certmagic.Storage, u User) (Record, error) {
	var newest Record
	failed := fs.ErrNotExist
	for _, key := range k {
		r, _, err := k.load(ctx, storage, key.objectName(u))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case errors.Is(err, seal.ErrUnreadable):
			failed = err
		case err != nil:
			return Record{}, err
		case newest.Token.IsZero() || r.Saved.After(newest.Saved):
			newest = r
		}
	}
	if newest.Token.IsZero() {
		return Record{}, failed
	}
	return newest, nil
}

// load returns the record of an object; see open.
func (k Keys) load(ctx context.Context, storage certmagic.Storage, name string) (r Record, current bool, err error) {
	value, err := storage.Load(ctx, name)
	if err != nil {
		return r, false, err
	}
	return k.open(name, value)
}

// Delete deletes the record of a user under every key, and reports whether there was one.
func (k Keys) Delete(ctx context.Context, storage certmagic.Storage, u User) (found bool, err error) {
	for _, key := range k {
		name := key.objectName(u)
		if !storage.Exists(ctx, name) {
			continue
		}
		if err := storage.Delete(ctx, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return found, err
		}
		found = true
	}
	return found, nil
}

// Resealed is the result of Reseal.
type Resealed struct {
	Current    int // objects that the first key had encrypted already
	Moved      int // objects that were encrypted with the first key
	Unreadable int // objects that none of the keys can decrypt
}

// Reseal encrypts all objects with the first key, so that the others can be removed from
// the config. It stops at the first error of the storage, and can be repeated.
func (k Keys) Reseal(ctx context.Context, storage certmagic.Storage) (done Resealed, err error) {
	names, err := storage.List(ctx, Prefix, true)
	if errors.Is(err, fs.ErrNotExist) {
		return done, nil
	}
	if err != nil {
		return done, err
	}
	for _, name := range names {
		if !isObject(name) {
			continue // a directory, or a temporary file of a write that was interrupted
		}
		switch r, current, err := k.load(ctx, storage, name); {
		case errors.Is(err, fs.ErrNotExist):
		case errors.Is(err, seal.ErrUnreadable):
			done.Unreadable++
		case err != nil:
			return done, err
		case current:
			done.Current++
		default:
			if err := k.move(ctx, storage, name, r); err != nil {
				return done, err
			}
			done.Moved++
		}
	}
	return done, nil
}

// isObject reports whether a name is one that objectName returns.
func isObject(name string) bool {
	b, err := hex.DecodeString(path.Base(name))
	return err == nil && len(b) == sha256.Size
}

// move replaces an object by one that the first key has encrypted, unless there is a newer
// one already.
func (k Keys) move(ctx context.Context, storage certmagic.Storage, from string, r Record) error {
	name, value, err := k.Seal(r)
	if err != nil {
		return err
	}
	if there, _, err := k.load(ctx, storage, name); err != nil || there.Saved.Before(r.Saved) {
		if err := storage.Store(ctx, name, value); err != nil {
			return err
		}
	}
	return storage.Delete(ctx, from)
}
