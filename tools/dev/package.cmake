# What an installation is: the programs, the C library as one archive with its
# headers and slm.pc, man pages, documents. `cmake --install build/release --strip`, and
# CPack's .tar.gz and .deb. Everything is static: a package needs libc alone,
# and the programs not even that.
include(GNUInstallDirs)

# Every archive that slm_runtime links, ours and third parties'.
function(slm_archives target out)
  set(seen)
  set(todo ${target})
  while(todo)
    list(POP_FRONT todo library)
    if(library IN_LIST seen OR NOT TARGET ${library})
      continue()
    endif()
    list(APPEND seen ${library})
    foreach(property LINK_LIBRARIES INTERFACE_LINK_LIBRARIES)
      get_target_property(more ${library} ${property})
      if(more)
        string(REGEX REPLACE "\\$<LINK_ONLY:([^>]*)>" "\\1" more "${more}")
        list(APPEND todo ${more})
      endif()
    endforeach()
  endwhile()
  set(archives)
  foreach(library IN LISTS seen)
    get_target_property(type ${library} TYPE)
    get_target_property(imported ${library} IMPORTED)
    if(type STREQUAL "STATIC_LIBRARY" OR
       (imported AND type STREQUAL "UNKNOWN_LIBRARY"))
      list(APPEND archives $<TARGET_FILE:${library}>)
    endif()
  endforeach()
  list(APPEND archives ${SLM_PCRE2_LIBRARY} ${SLM_UTF8PROC_LIBRARY})
  set(${out} ${archives} PARENT_SCOPE)
endfunction()

slm_archives(slm_runtime slm_parts)
set(slm_archive ${CMAKE_BINARY_DIR}/libslm.a)
add_custom_command(OUTPUT ${slm_archive}
  COMMAND ${CMAKE_COMMAND} -DAR=${CMAKE_AR} -DRANLIB=${CMAKE_RANLIB}
          -DOUTPUT=${slm_archive} "-DPARTS=${slm_parts}"
          -P ${PROJECT_SOURCE_DIR}/tools/dev/merge_archives.cmake
  DEPENDS slm_runtime ${PROJECT_SOURCE_DIR}/tools/dev/merge_archives.cmake
  VERBATIM COMMENT "Merging libslm.a")
add_custom_target(slm_archive ALL DEPENDS ${slm_archive})

configure_file(${PROJECT_SOURCE_DIR}/tools/dev/slm.pc.in slm.pc @ONLY)

# Man pages out of what the programs say of themselves; not where they are made
# for another machine, nor with sanitizers, which nobody installs.
set(slm_pages)
if(NOT CMAKE_CROSSCOMPILING AND NOT SLM_SANITIZE)
  string(TIMESTAMP slm_today "%Y-%m-%d" UTC)  # heeds SOURCE_DATE_EPOCH
  foreach(program slm-run slm-convert slm-bench slm-inspect)
    if(NOT TARGET ${program})
      continue()
    endif()
    set(page ${CMAKE_BINARY_DIR}/man/${program}.1)
    add_custom_command(OUTPUT ${page}
      COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/man
      COMMAND sh ${PROJECT_SOURCE_DIR}/tools/dev/man_page.sh
              $<TARGET_FILE:${program}> ${PROJECT_VERSION} ${slm_today}
              > ${page}
      DEPENDS ${program} ${PROJECT_SOURCE_DIR}/tools/dev/man_page.sh
      VERBATIM COMMENT "Writing ${program}.1")
    list(APPEND slm_pages ${page})
  endforeach()
endif()
add_custom_target(slm_man ALL DEPENDS ${slm_pages})

install(TARGETS slm-run slm-convert slm-bench RUNTIME)
if(TARGET slm-inspect)
  install(TARGETS slm-inspect RUNTIME)
endif()
install(FILES ${slm_pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${slm_archive} DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${CMAKE_BINARY_DIR}/slm.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES runtime/include/slm/slm.h runtime/include/slm/slm.hpp
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/slm)
install(FILES README.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(CPACK_GENERATOR TGZ DEB)
set(CPACK_PACKAGE_NAME slm)
set(CPACK_PACKAGE_VENDOR slm)
set(CPACK_PACKAGE_CONTACT "the slm project <slm@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY
  "Runs small language models from Foundry Local and ONNX folders")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION utils)
include(CPack)
