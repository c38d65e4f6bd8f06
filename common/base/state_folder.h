// The folders in which peers and metaservers keep their state: keys, members, the control socket.
//
// Each has a marker, the file `espalier-state`, with one line: "espalier-state 1". It means two
// things: the folder, whatever its name, is never shared, listed or written by request; and the
// version of the folder's format, for the files in it that have no version of their own. A folder
// of a program that made no marker is recognised by its files.
//
// A marker in another folder only hides that folder from others, which is the safe error. Code that
// writes files under names from the network must refuse the marker's name (kStateMarker) and those
// of the files by which older folders are recognised, `instance.key` and `control.lock`: else a
// stranger could hide a share. Those two count only with mode 0600.
//
// A state folder belongs to the user whose program runs on it, and no other user may write to it:
// another user could replace the key, or answer on the control socket. All functions block on the
// disk and keep nothing. Called at the start of both programs and by clients of `-e`, by the share
// and by transfers.
#pragma once

#include <string>

#include "common/base/file_descriptor.h"
#include "common/base/result.h"

namespace espalier {

inline constexpr const char* kStateMarker = "espalier-state";
inline constexpr unsigned kStateVersion = 1;

// Whether this open folder (O_PATH is enough) is a state folder: it has a marker, or the files of
// one without a marker. Follows no symbolic link. Four fstatat(2) for any other folder.
bool isStateFolder(int folder);
// The same for a path that a user named, whose own links are followed. False if it is no folder.
bool isStateFolder(const std::string& path);
// Whether `path`, or a folder above it as the path names them, is a state folder. `path` need not
// be there.
bool isInStateFolder(const std::string& path);

// Opens the state folder, and makes it first if it is not there (with mode 0700, the folders above
// it as the umask says). A new one appears under its name with its marker; an old one without a
// marker gets one. Errors: `configuration` when it, or what a link at `path` leads to, belongs to
// another user, when others may write to it, or when a newer version made it; `io` for the disk.
Result<FileDescriptor> openStateFolder(const std::string& path);
// Opens it for a client of the program that runs there: makes and changes nothing. Errors as above,
// and `failed` when it is not there.
Result<FileDescriptor> findStateFolder(const std::string& path);

// The path of a file in an open folder, whatever the length of the folder's own path, and also when
// that has been renamed.
std::string pathIn(int folder, std::string_view name);

}  // namespace espalier
