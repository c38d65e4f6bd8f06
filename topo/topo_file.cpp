#include "topo/topo_file.h"

namespace espalier::topo {

std::string format(std::span<const TopoLine> lines) {
  std::string text;
  for (const TopoLine& line : lines) {
    text += line.id.text();
    text += ':';
    if (!line.neighbours.empty()) text += ' ';
    for (const PeerId& neighbour : line.neighbours) {
      text += ' ';
      text += neighbour.text();
    }
    text += '\n';
  }
  return text;
}

}  // namespace espalier::topo
