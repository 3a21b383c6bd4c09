package dryrun

import (
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/clienttype"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/problem"
)

// clientTypes lists the client types, for messages.
var clientTypes = strings.Join(clienttype.All[:len(clienttype.All)-1], ", ") + " or " + clienttype.All[len(clienttype.All)-1]

// flagDetails replace the details of problem.Table for errors of the request, because the
// user of a command sets flags instead of the query of a request.
var flagDetails = map[exchange.Code]string{
	problem.ClientTypeRequired:            "set --client-type to " + clientTypes + ", or set the option client_type",
	problem.ClientTypeUnknown:             "--client-type must be " + clientTypes + ", and must have an ID in the option client_id",
	exchange.Code(identity.ReasonMissing): "set --email, or --user-id for human_api_token",
	exchange.Code(identity.ReasonInvalid): "--email must be one email address without a name, such as alice@clinic.example; --user-id must be one ID of at most 256 bytes",
}
