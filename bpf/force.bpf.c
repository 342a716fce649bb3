// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Makes Multipath TCP of the TCP that one control group and its children ask for.
 *
 * The kernel asks update_socket_protocol() (net/socket.c, Linux 6.6) which protocol a
 * new socket shall have. 0 is no answer: the next program is asked, and at last the
 * kernel itself, which leaves the protocol as it is. Any other answer ends the asking
 * (arch/x86/net/bpf_jit_comp.c, invoke_bpf_mod_ret), so what is not ours must get 0, or
 * two of these at once would hide TCP from each other.
 *
 * Compiled without the kernel's headers: the few numbers are of include/uapi/, which
 * never change. There is nothing to relocate, so one object is for all kernels.
 */

#define AF_INET 2
#define AF_INET6 10
#define SOCK_STREAM 1
#define IPPROTO_TCP 6
#define IPPROTO_MPTCP 262
/* An int is the lower half of its register, and none of these is negative. */
#define INT 0x7fffffff
/* Flags such as SOCK_CLOEXEC are still in the type (include/linux/net.h). */
#define SOCK_TYPE_MASK 0xf
#define BPF_MAP_TYPE_CGROUP_ARRAY 8
#define BPF_FUNC_current_task_under_cgroup 37

#define SECTION(name) __attribute__((section(name), used))

typedef unsigned int u32;
typedef unsigned long long u64;

#define current_task_under_cgroup \
	((long (*)(void *map, u32 index))BPF_FUNC_current_task_under_cgroup)

/*
 * libbpf reads a map's numbers from the types of these fields. It is the one variable here: of
 * two, gcc would write the types in the order of their addresses in the compiler, and each build
 * would be another.
 */
struct {
	int (*type)[BPF_MAP_TYPE_CGROUP_ARRAY];
	int (*max_entries)[1];
	u32 *key;
	u32 *value;
} group SECTION(".maps");

SECTION("fmod_ret/update_socket_protocol")
int force(u64 *arguments)
{
	u64 family = arguments[0] & INT;
	u64 type = arguments[1] & SOCK_TYPE_MASK;
	u64 protocol = arguments[2] & INT;

	if (family != AF_INET && family != AF_INET6)
		return 0;
	if (type != SOCK_STREAM)
		return 0;
	if (protocol != 0 && protocol != IPPROTO_TCP)
		return 0;
	return current_task_under_cgroup(&group, 0) == 1 ? IPPROTO_MPTCP : 0;
}

__asm__(".section license, \"aw\"\n\t.asciz \"GPL\"");
