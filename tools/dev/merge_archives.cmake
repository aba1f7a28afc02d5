# cmake -DAR= -DRANLIB= -DOUTPUT= "-DPARTS=a.a;b.a" -P merge_archives.cmake
set(script "CREATE ${OUTPUT}.tmp\n")
foreach(part IN LISTS PARTS)
  string(APPEND script "ADDLIB ${part}\n")
endforeach()
file(WRITE ${OUTPUT}.mri "${script}SAVE\nEND\n")
execute_process(COMMAND ${AR} -M INPUT_FILE ${OUTPUT}.mri
  COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${RANLIB} ${OUTPUT}.tmp COMMAND_ERROR_IS_FATAL ANY)
file(RENAME ${OUTPUT}.tmp ${OUTPUT})
