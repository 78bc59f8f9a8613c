# What `cmake --install` puts where, under the prefix:
#   bin/                                     weir, weir-worker
#   share/bash-completion/completions/weir   and those of zsh and fish, as the program itself writes them
#   share/weir/sources/<API>/                each source's README and the SQL of its tables
#   share/doc/weir/                          README, LICENSE, CHANGELOG, docs, an example weir.yaml
# Included last by the top CMakeLists.txt, when the targets weir and weir-worker are there.
include(GNUInstallDirs)

install(TARGETS weir weir-worker RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})

# Written at install time: a build under a sanitizer need not be able to run what it has linked.
set(generated ${CMAKE_BINARY_DIR}/gen/install)
install(CODE "
  set(WEIR \"$<TARGET_FILE:weir>\")
  set(OUT \"${generated}\")
  include(\"${CMAKE_SOURCE_DIR}/cmake/InstallFiles.cmake\")
")
install(FILES ${generated}/weir.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME weir)
install(FILES ${generated}/_weir DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES ${generated}/weir.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)

install(FILES README.md LICENSE CHANGELOG.md ${generated}/weir.yaml DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR})

# common/sources/<API>/: what a user reads of a source.
install(
  DIRECTORY common/sources/
  DESTINATION ${CMAKE_INSTALL_DATADIR}/weir/sources
  FILES_MATCHING PATTERN "*.sql" PATTERN "README.md"
  PATTERN "fixtures" EXCLUDE)
