# Makes of the installed files, component by component, what Debian's policy expects: stripped binaries, compressed manuals,
# copyright and changelog under the package's name, no second copy of a licence. Run by cpack before it packs.
find_program(STRIP strip REQUIRED)
find_program(GZIP gzip REQUIRED)
find_program(GENSYMBOLS dpkg-gensymbols REQUIRED)

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE said ERROR_VARIABLE said)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${ARGN}: ${status}\n${said}")
  endif()
endfunction()

foreach(component IN LISTS CPACK_COMPONENTS_ALL)
  set(folder "${CPACK_TEMPORARY_DIRECTORY}/${component}")
  string(TOUPPER "${component}" name)
  set(package "${CPACK_DEBIAN_${name}_PACKAGE_NAME}")
  set(doc "${folder}/usr/share/doc/${package}")

  file(GLOB_RECURSE shared "${folder}/*.so" "${folder}/*.so.*" "${folder}/usr/bin/*")
  foreach(file IN LISTS shared)
    if(NOT IS_SYMLINK "${file}")
      run("${STRIP}" --strip-unneeded --remove-section=.comment --remove-section=.note "${file}")
    endif()
  endforeach()
  file(GLOB_RECURSE modules "${folder}/*.so" "${folder}/*.so.*")
  foreach(file IN LISTS modules)
    if(NOT IS_SYMLINK "${file}")
      file(CHMOD "${file}" PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
    endif()
  endforeach()
  file(GLOB_RECURSE archives "${folder}/*.a")
  foreach(file IN LISTS archives)
    run("${STRIP}" --strip-debug --enable-deterministic-archives "${file}")
  endforeach()

  file(GLOB_RECURSE manuals "${folder}/usr/share/man/*.1")
  if(manuals)
    run("${GZIP}" -9n ${manuals})
  endif()
  if(EXISTS "${folder}/usr/share/zsh/site-functions")
    file(RENAME "${folder}/usr/share/zsh/site-functions" "${folder}/usr/share/zsh/vendor-completions")
  endif()
  # the copyright file says the same
  file(REMOVE "${folder}/usr/share/qgis/python/plugins/stfusion/LICENSE")

  file(COPY "${CPACK_STFUSION_DEBIAN_DIR}/copyright" DESTINATION "${doc}")
  file(COPY_FILE "${CPACK_STFUSION_DEBIAN_DIR}/changelog" "${doc}/changelog.Debian")
  file(COPY_FILE "${CPACK_STFUSION_CHANGES}" "${doc}/changelog")
  run("${GZIP}" -9n "${doc}/changelog.Debian" "${doc}/changelog")
  if(NOT component STREQUAL qgis)
    # what is linked into its binaries
    file(COPY "${CPACK_STFUSION_NOTICES_DIR}/THIRD-PARTY-LICENSES" "${CPACK_STFUSION_NOTICES_DIR}/stfusion.cdx.json" DESTINATION "${doc}")
    run("${GZIP}" -9n "${doc}/THIRD-PARTY-LICENSES" "${doc}/stfusion.cdx.json")
  endif()
endforeach()

# Fails when the library lacks a symbol of the list or has one more.
file(MAKE_DIRECTORY "${CPACK_STFUSION_CONTROL_DIR}")
execute_process(
  COMMAND "${GENSYMBOLS}" "-p${CPACK_STFUSION_LIBRARY_PACKAGE}" "-v${CPACK_PACKAGE_VERSION}" -c4 "-P${CPACK_TEMPORARY_DIRECTORY}/library"
          "-I${CPACK_STFUSION_DEBIAN_DIR}/${CPACK_STFUSION_LIBRARY_PACKAGE}.symbols" "-O${CPACK_STFUSION_CONTROL_DIR}/symbols"
  WORKING_DIRECTORY "${CPACK_STFUSION_CONTROL_DIR}" RESULT_VARIABLE status OUTPUT_VARIABLE said ERROR_VARIABLE said)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "The library does not export what packaging/debian/${CPACK_STFUSION_LIBRARY_PACKAGE}.symbols lists: "
                      "run `cargo xtask gen`\n${said}")
endif()
