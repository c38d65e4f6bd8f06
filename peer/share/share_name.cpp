#include "peer/share/share_name.h"

#include <algorithm>

#include "common/base/limits.h"
#include "common/base/state_folder.h"
#include "common/base/text.h"

namespace espalier::share {
namespace {

constexpr std::string_view kOwn = ".espalier";

std::string lowered(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

bool isOwn(std::string_view component) {
  const std::string name = lowered(component.substr(0, limits::kNameBytes));
  if (name == kOwn || name.starts_with(".espalier-") || name == kStateMarker) return true;
  // By these files a state folder of the first version is known. A file from the network that is
  // saved under such a name would hide the folder that it is in.
  return name == "control.lock" || name == "instance.key";
}

// Without control characters and bidirectional controls: of UTF-8, escaped() changes these and the
// backslash only.
bool isPlain(std::string_view name) {
  std::string without(name);
  // Not erased, because the bytes around it could then form another character.
  std::replace(without.begin(), without.end(), '\\', '_');
  return escaped(without) == without;
}

}  // namespace

NameFault componentFault(std::string_view component) {
  if (component.empty()) return NameFault::empty;
  if (component == "." || component == "..") return NameFault::dots;
  if (component.size() > limits::kNameBytes) return NameFault::longComponent;
  if (isOwn(component)) return NameFault::own;
  if (!isUtf8(component)) return NameFault::notUtf8;
  return isPlain(component) ? NameFault::none : NameFault::control;
}

NameFault nameFault(std::string_view name) {
  if (name.empty()) return NameFault::empty;
  if (name.size() > limits::kSharedNameBytes) return NameFault::tooLong;
  if (name.front() == '/') return NameFault::absolute;
  NameFault fault = NameFault::none;
  std::size_t components = 0;
  allComponents(name, [&](std::string_view component) {
    ++components;
    fault = componentFault(component);
    return fault == NameFault::none;
  });
  if (fault != NameFault::none) return fault;
  return components > limits::kPathDepth ? NameFault::tooDeep : NameFault::none;
}

std::string_view described(NameFault fault) {
  switch (fault) {
    case NameFault::none:
      return "is a name";
    case NameFault::empty:
      return "is empty, or has an empty part";
    case NameFault::absolute:
      return "is an absolute path";
    case NameFault::dots:
      return "has a part \".\" or \"..\"";
    case NameFault::own:
      return "has a part that is a name of the program's own";
    case NameFault::longComponent:
      return "has a part of more than 255 bytes";
    case NameFault::tooLong:
      return "is too long";
    case NameFault::tooDeep:
      return "has too many folders";
    case NameFault::notUtf8:
      return "is no UTF-8";
    case NameFault::control:
      return "has control characters";
  }
  return "";
}

std::string childName(std::string_view folder, std::string_view child) {
  std::string name(folder);
  if (!name.empty()) name += '/';
  return name.append(child);
}

bool isDotName(std::string_view component) {
  return component.starts_with('.');
}

bool hasDotName(std::string_view name) {
  return !allComponents(name, [](std::string_view component) { return !isDotName(component); });
}

}  // namespace espalier::share
