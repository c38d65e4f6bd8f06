// The folders in which peers and metaservers keep their state: keys, members, the control socket.
//
// Each has a marker, the file `espalier-state`, with one line: "espalier-state 1". The marker means
// that the folder, whatever its name, is never shared, listed or written by request. It also has
// the version of the folder's format, for the files in it without a version of their own. A folder
// made by an older version, which wrote no marker, is recognised by its files.
//
// A marker in any other folder only hides that folder from other peers, which is the safe error.
// Code that writes files under names from the network must refuse the marker's name (kStateMarker),
// `instance.key` and `control.lock`: otherwise another peer could hide a share. The last two, by
// which older folders are recognised, count only with mode 0600.
//
// A state folder belongs to the user whose program runs on it, and no other user may write to it:
// another user could replace the key, or answer on the control socket. All functions block on the
// disk. Nothing is cached. Called at the start of both programs, by clients of `-e`, by the share
// and by transfers.
#pragma once

#include <string>

#include "common/base/file_descriptor.h"
#include "common/base/result.h"

namespace espalier {

inline constexpr const char* kStateMarker = "espalier-state";
inline constexpr unsigned kStateVersion = 1;

// Whether this open folder (O_PATH is enough) is a state folder: it has a marker, or the files of
// an older one. Follows no symbolic link. Costs four fstatat(2) for any other folder.
bool isStateFolder(int folder);
// The same for a path that a user named. Symbolic links in it are followed. False if it is not a
// folder.
bool isStateFolder(const std::string& path);
// Whether `path`, or a folder above it in the path's own text, is a state folder. `path` need not
// exist.
bool isInStateFolder(const std::string& path);

// Opens the state folder. Makes it first if it does not exist (mode 0700; the folders above it by
// the umask). A new one appears under its name together with its marker. An old one without a
// marker gets one. Errors: `configuration` when it, or the target of a link at `path`, belongs to
// another user, when others may write to it, or when a newer version made it; `io` for the disk.
Result<FileDescriptor> openStateFolder(const std::string& path);
// Opens it for a client of the program that runs there. Changes nothing. Errors as above, and
// `failed` when it does not exist.
Result<FileDescriptor> findStateFolder(const std::string& path);

// The path of a file in an open folder, below /proc/self/fd: short, and still right after the
// folder was renamed. Valid while `folder` is open.
std::string pathIn(int folder, std::string_view name);

}  // namespace espalier
