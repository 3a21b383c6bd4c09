package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"
	"github.com/spf13/cobra"

	"github.com/caddy-huma/caddy-huma/caddymodule/humanapitoken"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/dryrun"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/refreshtoken"
	"github.com/caddy-huma/caddy-huma/internal/command"
)

// RefreshTokenCommand returns the command caddy huma refresh-token.
func RefreshTokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "refresh-token (--user-id <id> [--delete] | --reseal) [--config <file> | --address <address>] [--which <name>] [--json]",
		Short: "Reads or deletes the saved refresh token of a user of Human API",
		Long: `
Reads or deletes the refresh token of a user of Human API that human_api_token has
saved (the option refresh_tokens).

The command uses the storage of the config directly. The server need not run. Run
the command as the user that Caddy runs as, with the same environment: the default
storage is a folder in that user's home.

Without --delete or --reseal, the command prints when the token was saved, and with
--json also the token. Protect the output.

With --delete, the command deletes the token, for example because the user asks for
the erasure of their data. A server that issues a new token for the user saves it
again.

With --reseal, the command encrypts all saved tokens with the first of the
encryption_keys. After that, the other keys can be removed from the config.

Exit codes:
  0  success
  1  no token is saved for the user, or none of the keys can decrypt it; with
     --reseal, some tokens cannot be decrypted; or the storage fails
  2  wrong usage`,
		Example: `  caddy huma refresh-token --config /etc/caddy/Caddyfile --user-id user-1001 --json | jq -r .id_refresh_token
  caddy huma refresh-token --config /etc/caddy/Caddyfile --user-id user-1001 --delete
  caddy huma refresh-token --config /etc/caddy/Caddyfile --reseal`,
	}
	var r refreshTokenRun
	f := cmd.Flags()
	r.source.AddFlags(f)
	f.StringVar(&r.which, "which", "", "A part of the directive's name that no other one has, if there are several")
	f.StringVar(&r.userID, "user-id", "", "ID of the user")
	f.BoolVar(&r.delete, "delete", false, "Delete the token of the user")
	f.BoolVar(&r.reseal, "reseal", false, "Encrypt all tokens with the first key")
	f.BoolVar(&r.json, "json", false, "Print JSON, including the token")
	command.Runs(cmd, r.run)
	return cmd
}

// refreshTokenRun is one run of the command, with the values of its flags.
type refreshTokenRun struct {
	source               dryrun.Source
	which, userID        string
	delete, reseal, json bool
}

// refreshTokenReport is the JSON output of the command.
type refreshTokenReport struct {
	Directive string     `json:"directive"` // its name
	Token     string     `json:"id_refresh_token,omitempty"`
	Saved     *time.Time `json:"saved,omitempty"`
	Deleted   *bool      `json:"deleted,omitempty"` // with --delete: there was a token

	// With --reseal: the numbers of objects that were encrypted with the first key, that
	// were so already, and that none of the keys can decrypt.
	Moved      *int `json:"moved,omitempty"`
	Current    *int `json:"current,omitempty"`
	Unreadable *int `json:"unreadable,omitempty"`

	text string // the output without --json
}

func (r *refreshTokenRun) run(ctx context.Context, out io.Writer) (int, error) {
	if r.reseal == (r.userID != "") || r.reseal && r.delete {
		return command.Usage, command.UsageError("set either --user-id, with or without --delete, or --reseal")
	}
	config, err := dryrun.Load(r.source)
	if err != nil {
		return command.Problem, err
	}
	d, h, err := r.directive(config)
	if err != nil {
		return command.Problem, err
	}
	storage, cancel, err := openStorage(config)
	if err != nil {
		return command.Problem, err
	}
	defer cancel()
	var p option.Errors
	keys, user := h.ReadRefreshTokenKeys(&p), h.RefreshTokenUser(r.userID, &p)
	if err := p.Err(); err != nil {
		return command.Problem, fmt.Errorf("%s does not load:\n%w", d.Title(), err)
	}
	report, err := r.do(ctx, keys, storage, user)
	if report != nil {
		report.Directive = d.Name
		if printErr := report.print(out, r.json); printErr != nil {
			return command.Problem, printErr
		}
	}
	if err != nil {
		return command.Problem, err
	}
	return command.OK, nil
}

// directive returns the directive with the option refresh_tokens that the flags select.
func (r *refreshTokenRun) directive(c *dryrun.Config) (*dryrun.Directive, *humanapitoken.HumanAPIToken, error) {
	saving := slices.DeleteFunc(c.Directives, func(d dryrun.Directive) bool { return d.Options["refresh_tokens"] == nil })
	if len(saving) == 0 {
		return nil, nil, errors.New("the config has no human_api_token with the option refresh_tokens")
	}
	d, err := findDirective(saving, r.which)
	if err != nil {
		return nil, nil, err
	}
	h, err := d.NewHandler()
	if err != nil {
		return nil, nil, err
	}
	human, ok := h.(*humanapitoken.HumanAPIToken)
	if !ok {
		return nil, nil, fmt.Errorf("%s has no option refresh_tokens", d.Title())
	}
	return d, human, nil
}

// openStorage returns the storage of a config. cancel releases it.
func openStorage(c *dryrun.Config) (storage certmagic.Storage, cancel func(), err error) {
	base, err := caddy.ProvisionContext(&caddy.Config{StorageRaw: c.Storage})
	if err != nil {
		return nil, nil, err
	}
	ctx, stop := caddy.NewContext(base)
	return ctx.Storage(), func() { stop() }, nil
}

// do runs what the flags say.
func (r *refreshTokenRun) do(ctx context.Context, keys refreshtoken.Keys, storage certmagic.Storage, user refreshtoken.User) (*refreshTokenReport, error) {
	switch {
	case r.reseal:
		done, err := keys.Reseal(ctx, storage)
		if err == nil && done.Unreadable > 0 {
			err = fmt.Errorf("none of the keys can decrypt %s", command.Plural(done.Unreadable, "object"))
		}
		return &refreshTokenReport{
			Moved: &done.Moved, Current: &done.Current, Unreadable: &done.Unreadable,
			text: fmt.Sprintf("encrypted with the first key: %d now, %d before; cannot be decrypted: %d", done.Moved, done.Current, done.Unreadable),
		}, err
	case r.delete:
		found, err := keys.Delete(ctx, storage, user)
		if err != nil {
			return nil, err
		}
		text := "no refresh token is saved for this user"
		if found {
			text = "deleted"
		}
		return &refreshTokenReport{Deleted: &found, text: text}, nil
	}
	record, err := keys.Load(ctx, storage, user)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("no refresh token is saved for this user with these keys")
	}
	if err != nil {
		return nil, err
	}
	return &refreshTokenReport{
		Token: record.Token.Reveal(), Saved: &record.Saved,
		text: "saved at " + record.Saved.Format(time.RFC3339) + "; --json prints the token",
	}, nil
}

func (r *refreshTokenReport) print(out io.Writer, asJSON bool) error {
	if asJSON {
		return command.WriteJSON(out, r)
	}
	_, err := fmt.Fprintln(out, r.text)
	return err
}
