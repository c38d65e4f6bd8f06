// What writing a file comes to, in words of this program's own. Stateless.
#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"

namespace espalier::transfer {

// Of the code `io`; a full disk is called that.
Error diskError(std::string_view what, int error);

// Whether a file may take the place of `leaf`: an error where that is a folder, a symbolic link, a
// device or a pipe, which are never replaced, whatever the user asked for. `path`: as the user
// reads it.
Result<void> mayReplace(int folder, const std::string& leaf, const std::string& path);

// As renameat(2), but fails with EEXIST where something has the name.
int renameNew(int from, const char* name, int target, const char* leaf);

// On a file system without extents (tmpfs): to reserve space there is to clear every page, which is
// then written a second time, while whoever writes waits for the same lock.
bool isInMemory(int file);

}  // namespace espalier::transfer
