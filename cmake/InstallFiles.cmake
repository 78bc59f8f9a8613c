# Run by `cmake --install`: has the program WEIR write its completions and its example configuration into OUT.
file(REMOVE_RECURSE ${OUT})
file(MAKE_DIRECTORY ${OUT})

function(run_weir output)
  execute_process(
    COMMAND ${WEIR} ${ARGN} WORKING_DIRECTORY ${OUT} OUTPUT_FILE ${OUT}/${output} RESULT_VARIABLE code ERROR_VARIABLE error)
  if(NOT code EQUAL 0)
    list(JOIN ARGN " " arguments)
    message(FATAL_ERROR "weir ${arguments} failed (${code}): ${error}")
  endif()
endfunction()

run_weir(weir.bash completion bash)
run_weir(_weir completion zsh)
run_weir(weir.fish completion fish)
run_weir(init.log init)  # writes weir.yaml where it runs
