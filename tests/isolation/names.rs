//! The attempts by name, for each test program that makes them: `isolation.rs` with and without the
//! barriers, `installed.rs` against the service of a package.
#![forbid(unsafe_code)]

/// Hands all names to the macro `of`.
macro_rules! each_attempt {
    ($of:ident) => {
        $of! {
            ask_for_a_ring
            ask_for_huge_pages
            ask_for_huge_pages_in_a_memfd
            ask_which_pages_are_cached
            change_a_device_of_the_host
            change_a_kernel_setting
            change_root
            choose_a_rare_protocol
            cork_datagrams
            clone_a_mount
            enter_a_namespace
            gain_privilege_by_exec
            handle_page_faults
            have_a_capability
            have_another_core_limit
            inherit_the_hosts_environment
            keep_a_secret_in_the_kernel
            keep_the_hosts_oom_rank
            lift_read_only
            load_a_filter_of_its_own
            look_into_its_init
            lower_its_core_limit
            lower_its_core_limit_the_old_way
            lower_its_oom_rank
            make_a_device_node
            make_a_user_namespace
            make_a_user_namespace_by_clone
            make_a_user_namespace_by_clone3
            make_dangerous_calls
            measure_with_perf
            merge_its_pages_with_others
            mount_a_file_system
            mount_by_the_new_calls
            mount_the_control_groups
            move_pages_between_files
            name_a_file_by_handle
            open_a_raw_socket
            open_the_hosts_files
            pin_its_init
            pivot_the_root
            raise_its_descriptor_limit
            reach_a_rare_socket_family
            reach_a_service_of_the_host
            reach_an_abstract_socket_of_the_host
            read_the_memory_of_its_init
            read_the_session_keyring_of_the_host
            run_32_bit_calls
            see_kernel_files_in_proc
            send_without_copying
            set_a_rare_socket_option
            share_an_inode_with_the_host
            slow_its_init_down
            starve_its_init_of_descriptors
            talk_netlink
            throw_cached_pages_away
            trace_its_init
            turn_off_address_randomisation
            type_into_a_terminal
            uncover_proc
            use_a_descriptor_left_open
            use_a_rare_prctl
            widen_a_receive_buffer
            write_memory_through_proc
            write_to_the_system
        }
    };
}
