// Which names a shared file can have: one rule for what a peer announces and for what it writes, so
// that whatever is announced can be fetched by its name and saved.
//
// A name has components with '/' between them, each 1 to 255 bytes of UTF-8 without control
// characters and bidirectional controls, none of them ".", ".." or a name of the programs' own
// (".espalier" and what begins with ".espalier-", the marker of a state folder; in any case, since
// some file systems ignore it). At most limits::kSharedNameBytes and limits::kPathDepth components.
//
// A component that begins with a dot is a valid one; whether it is shared or written is a rule of
// its own (share_list.h, safe_path.h). Stateless; any thread.
#pragma once

#include <string>
#include <string_view>

namespace espalier::share {

enum class NameFault {
  none,
  empty,          // the name, or a component
  absolute,       // begins with '/'
  dots,           // "." or ".."
  own,            // of the programs' own
  longComponent,  // more than limits::kNameBytes
  tooLong,
  tooDeep,
  notUtf8,
  control,
};

NameFault nameFault(std::string_view name);
// Of one component, which must not have a '/'.
NameFault componentFault(std::string_view component);

// Behind "it ": `it is too long`.
std::string_view described(NameFault fault);

bool isDotName(std::string_view component);
// Whether any component of a name is one.
bool hasDotName(std::string_view name);

// The share name of a child of a folder, which may be the share itself ("").
std::string childName(std::string_view folder, std::string_view child);

// Calls `each` with every component, while it returns true. Whether all did.
template <typename Each>
bool allComponents(std::string_view name, const Each& each) {
  while (true) {
    const std::size_t slash = name.find('/');
    if (!each(name.substr(0, slash))) return false;
    if (slash == name.npos) return true;
    name.remove_prefix(slash + 1);
  }
}

}  // namespace espalier::share
