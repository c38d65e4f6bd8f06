// What both ends of a control socket share: where it lies, and lines of JSON over it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/base/file_descriptor.h"
#include "common/base/result.h"
#include "common/command/dispatcher.h"

namespace espalier::command {

inline constexpr const char* kControlSocket = "control.sock";
inline constexpr const char* kControlLock = "control.lock";

// A socket connected to the one in that open state folder. Errors: `unavailable` when nobody
// answers, `timeout` when so many wait to be answered that there is no room for one more, as at a
// program that is stopped, `configuration` when a program of another user answers: it is told
// nothing. A socket's address has only 108 bytes, so both ends name it through /proc/self/fd. Never
// blocks.
Result<FileDescriptor> connectControl(int folder);
Result<FileDescriptor> listenControl(int folder);

// Whether the process at the other end belongs to this user, or to root.
bool isSameUser(int socket);

// Members that may be any bytes, such as paths: a text when they are UTF-8, else NAME with what
// JSON cannot hold replaced, for older programs, and NAMEHex with all of them.
void putBytes(Json& message, const std::string& name, std::string_view bytes);
// What putBytes() put there; nothing when the member is missing or has another type.
std::optional<std::string> getBytes(const Json& message, const std::string& name);

// {"progress":{…}}, or {"progress":null} when it is over.
Json progressMessage(const Progress& progress);

// One line. False when the other end is gone, or takes nothing for as long as SO_SNDTIMEO says.
bool sendLine(int socket, const Json& message);

// Text as several {"NAME": …} lines within limits::kControlOutputBytes, cut between characters.
bool sendText(int socket, const char* name, std::string_view text);

// Cuts what arrives into lines. Not thread-safe.
class LineReader {
 public:
  enum class State { open, ended };
  // Takes what has arrived without waiting. `ended`: closed, failed, or a line over the limit.
  State receive(int socket);
  // The next line as JSON; a line that is no object is null.
  std::optional<Json> next();

 private:
  std::string buffer_;
  std::size_t start_ = 0;
  std::size_t scanned_ = 0;
};

}  // namespace espalier::command
