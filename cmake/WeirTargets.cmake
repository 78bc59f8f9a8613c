# weir_library(name SOURCES … DEPS …), weir_program(…), weir_test(…): the only ways targets are made here, so that
# warnings, sanitizers and include paths are the same everywhere.
add_library(weir_options INTERFACE)
target_include_directories(weir_options INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/gen)
target_compile_options(weir_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual)
# gcc 12 sees overlaps in std::string's own code (GCC bug 105651) and unset members behind the flag of an optional or an
# expected; both are wrong, and the sanitizers look for the real ones.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(weir_options INTERFACE -Wno-restrict -Wno-maybe-uninitialized)
endif()
if(WEIR_WERROR)
  target_compile_options(weir_options INTERFACE -Werror)
endif()
if(WEIR_SANITIZE)
  target_compile_options(weir_options INTERFACE -fsanitize=${WEIR_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(weir_options INTERFACE -fsanitize=${WEIR_SANITIZE})
endif()
# The many test programs link in a fraction of the time.
find_program(WEIR_MOLD mold)
if(WEIR_MOLD)
  add_link_options(-fuse-ld=mold)
endif()
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LINK_DEPENDS_NO_SHARED ON)

if(WEIR_FUZZ)
  target_compile_options(weir_options INTERFACE -fsanitize=fuzzer-no-link -fno-sanitize-recover=all)
endif()

function(weir_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC weir_options ${ARG_DEPS})
endfunction()

function(weir_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE weir_options ${ARG_DEPS})
endfunction()

# A shared library that tests preload into programs. Plain: the program need not be built as this is.
function(weir_preload name)
  cmake_parse_arguments(ARG "" "" "SOURCES" ${ARGN})
  add_library(${name} MODULE ${ARG_SOURCES})
  set_target_properties(${name} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
  target_compile_options(${name} PRIVATE -Wall -Wextra)
endfunction()

# One test program. LABELS: unit | pg | kafka | e2e | fault. A test that needs a service says so by its label;
# TIMEOUT bounds each of its cases, in seconds. KAFKA_TOO NAME=VALUE: all its cases once more, with that in the
# environment and "ApacheKafka." before their names.
function(weir_test name)
  cmake_parse_arguments(ARG "SERIAL" "TIMEOUT;KAFKA_TOO" "SOURCES;DEPS;LABELS;ENVIRONMENT" ${ARGN})
  if(NOT WEIR_TESTS)
    return()
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  # gcc spends half of its time on optimizing code that runs once. What is tested is in the libraries.
  target_compile_options(${name} PRIVATE ${WEIR_TEST_FLAGS})
  target_link_libraries(${name} PRIVATE weir_options ${ARG_DEPS} GTest::gtest GTest::gmock GTest::gtest_main)
  set(props TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}")
  if(ARG_SERIAL)
    list(APPEND props RUN_SERIAL TRUE)
  endif()
  if(ARG_ENVIRONMENT)
    list(APPEND props ENVIRONMENT "${ARG_ENVIRONMENT}")
  endif()
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60 PROPERTIES ${props})
  if(ARG_KAFKA_TOO)
    gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
      TEST_PREFIX ApacheKafka. TEST_LIST ${name}_on_kafka
      PROPERTIES ${props} ENVIRONMENT "${ARG_ENVIRONMENT};${ARG_KAFKA_TOO}")
  endif()
endfunction()

# weir_embed(target name file…): the files' text as C++ string literals, `weir::embedded::<name>()`, so that a program
# carries its SQL with it.
function(weir_embed target name)
  set(out ${CMAKE_BINARY_DIR}/gen/embedded/${name}.cc)
  add_custom_command(
    OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -DOUT=${out} -DNAME=${name} "-DFILES=${ARGN}" -DROOT=${CMAKE_SOURCE_DIR}
            -P ${CMAKE_SOURCE_DIR}/cmake/Embed.cmake
    DEPENDS ${ARGN} ${CMAKE_SOURCE_DIR}/cmake/Embed.cmake
    VERBATIM)
  target_sources(${target} PRIVATE ${out})
endfunction()
