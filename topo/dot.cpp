#include "topo/dot.h"

#include <algorithm>
#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/graphviz.hpp>
#include <ostream>
#include <set>
#include <sstream>
#include <unordered_map>
#include <utility>

namespace espalier::topo {
namespace {

struct Drawn {
  std::string id;
  bool hasLine = false;
};
using Drawing = boost::adjacency_list<boost::vecS, boost::vecS, boost::undirectedS, Drawn>;

// In a label Graphviz reads escapes such as \N, and entities such as &amp;.
std::string quotedLabel(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
    if (c == '&') result += "amp;";
  }
  return result + '"';
}

}  // namespace

std::string toDot(std::span<const TopoLine> lines) {
  Drawing drawing;
  std::unordered_map<std::string_view, std::size_t> vertices;  // the ids belong to `lines`
  const auto vertexOf = [&](const PeerId& id) {
    const auto [found, isNew] = vertices.try_emplace(id.text(), num_vertices(drawing));
    if (isNew) add_vertex(Drawn{id.text()}, drawing);
    return found->second;
  };
  for (const TopoLine& line : lines) drawing[vertexOf(line.id)].hasLine = true;
  std::set<std::pair<std::size_t, std::size_t>> links;
  for (const TopoLine& line : lines) {
    for (const PeerId& neighbour : line.neighbours) {
      const auto ends = std::minmax({vertexOf(line.id), vertexOf(neighbour)});
      if (links.insert(ends).second) add_edge(ends.first, ends.second, drawing);
    }
  }

  std::ostringstream out;
  boost::write_graphviz(
      out, drawing,
      [&](std::ostream& stream, std::size_t vertex) {
        stream << "[label=" << quotedLabel(drawing[vertex].id)
               << (drawing[vertex].hasLine ? "]" : ", style=dashed]");
      },
      boost::default_writer(), [](std::ostream& stream) { stream << "node [shape=box];\n"; });
  return std::move(out).str();
}

}  // namespace espalier::topo
