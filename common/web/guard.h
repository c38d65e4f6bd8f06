// Whether a request may be answered: the page belongs to this machine's user, and no other page of
// the same browser may use it.
//
//   host       a name of loopback, or that of --web-host. Another name is one that somebody made
//              to lead here (DNS rebinding): 421, which names the option
//   origin     where there is one, it is that of the page itself: 403
//   fetch site where the browser says so, the request comes from the page itself: 403. To open a
//              page, the user typed its address or followed a link: from elsewhere only that
//   type       a POST is JSON: a form of another page cannot send that without being asked: 415
//   token      everything below /api but the exchange for a token wants one: 401
//
// Each is enough by itself against what it is for; together they hold where a browser lacks one.
// Pure functions. Called by the server for each request, before its body is read.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/base/endpoint.h"
#include "common/base/result.h"

namespace espalier::web {

// What is asked for, and who may.
enum class Place {
  page,      // a file of the page itself, which anybody may see who may reach it
  probe,     // /metrics, /healthz, /readyz: only the host counts
  exchange,  // the secret of a link for a token
  api,       // all that tells or does anything
};

// Of a request; an empty text: it has no such field.
struct Asked {
  std::string method;
  std::string host;
  std::string origin;
  std::string fetchSite;
  std::string fetchMode;
  std::string contentType;
};

struct Refusal {
  int status = 403;
  std::string why;  // a sentence without a full stop, for the answer
};

// `name`: that of --web-host, or empty.
std::optional<Refusal> check(Place place, const Asked& asked, std::string_view name);

// Whether the host of an address is this machine's own: 127.0.0.0/8, ::1, localhost.
bool isLoopback(std::string_view host);

// The value of --web: "yes" is the default, "no" nothing, otherwise an address of loopback. Another
// address has the code `configuration`.
Result<std::optional<Endpoint>> parseWebAddress(std::string_view text, std::uint16_t byDefault);
// The value of --web-host: a name without a port.
Result<std::string> parseWebHost(std::string_view text);

}  // namespace espalier::web
