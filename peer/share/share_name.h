// Which names a shared file can have. The same rule holds for what a peer announces and for what it
// writes, so that every announced file can be fetched by its name and saved.
//
// A name has components with '/' between them. A component is 1 to 255 bytes of UTF-8 without
// control characters and bidirectional controls. It is not ".", ".." or a name of the programs'
// own: ".espalier", what begins with ".espalier-", and the marker of a state folder, in upper or
// lower case, because some file systems do not tell them apart. A name has at most
// limits::kSharedNameBytes bytes and limits::kPathDepth components.
//
// A component that begins with a dot is valid. Whether it is shared or written is another rule
// (share_list.h, safe_path.h).
//
// Stateless, no I/O, any thread. Called by the scanner, the share editor, openBelow(), and the
// transfers for names from the network.
#pragma once

#include <string>
#include <string_view>

namespace espalier::share {

enum class NameFault {
  none,
  empty,          // the name, or a component
  absolute,       // begins with '/'
  dots,           // "." or ".."
  own,            // a name of the programs' own
  longComponent,  // more than limits::kNameBytes
  tooLong,
  tooDeep,
  notUtf8,
  control,
};

NameFault nameFault(std::string_view name);
// The fault of one component, in which there must be no '/'.
NameFault componentFault(std::string_view component);

// The end of a sentence that begins with "it": `is too long`.
std::string_view described(NameFault fault);

bool isDotName(std::string_view component);
// Whether any component of a name begins with a dot.
bool hasDotName(std::string_view name);

// The share name of a child of a folder, which may be the share itself ("").
std::string childName(std::string_view folder, std::string_view child);

// Calls `each` with the components, in order, until it returns false. Whether all returned true.
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
