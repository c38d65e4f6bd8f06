// The messages of metaserver/core/cluster/etcd_messages.h as etcd's JSON gateway has them (etcd
// 3.4: /v3/…): keys and values in base64, 64-bit numbers as strings, fields of value 0 left out.
//
// What arrives is checked: a body that is no JSON, lacks a field, or has one of another kind, is
// an error of code `protocol`, never an exception. The caller bounds bodies
// (limits::kEtcdAnswerBytes). Pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "metaserver/core/cluster/election.h"
#include "metaserver/core/cluster/etcd_messages.h"

namespace espalier::metaserver::etcd {

struct Call {
  std::string path;
  std::string body;
};

Call callOf(const cluster::etcd::Request& request);

using AnswerContent = decltype(cluster::etcd::Answer::what);
// The body of an answer to that request, of HTTP status 200. Not for Watch.
Result<AnswerContent> readAnswer(const cluster::etcd::Request& request, std::string_view body);
// One line of the stream that answers a Watch: Watched (its changes are empty for a line that only
// says that the watch began) or WatchEnded.
Result<AnswerContent> readWatchLine(std::string_view line);
// What etcd says in a body of any other status; printable.
std::string readError(std::string_view body);

Call authenticateCall(const std::string& user, const std::string& password);
Result<std::string> readToken(std::string_view body);

// A candidate as the value of its key. Decoding checks every field's form and limit.
std::string encodeCandidate(const cluster::Candidate& candidate);
std::optional<cluster::Candidate> decodeCandidate(std::string_view value);

}  // namespace espalier::metaserver::etcd
