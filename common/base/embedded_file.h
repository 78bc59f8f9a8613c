#pragma once

#include <span>
#include <string_view>

namespace weir::embedded {

// A text file that was compiled into the program (cmake/Embed.cmake).
struct EmbeddedFile {
  std::string_view path;  // from the project's root
  std::string_view text;
};

}  // namespace weir::embedded
