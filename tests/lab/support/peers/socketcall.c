/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Asks for an MPTCP socket as glibc and Go of i386 do, by socketcall(2), whose arguments are in
 * memory: ends with 0 where it gets one, else with the kernel's errno. */

static int ask(int number, int first, const int *second)
{
	int answer;

	__asm__ volatile("int $0x80" : "=a"(answer) : "a"(number), "b"(first), "c"(second) : "memory");
	return answer;
}

void _start(void)
{
	/* AF_INET, SOCK_STREAM, IPPROTO_MPTCP; 102 is socketcall(2), 1 its socket, and exit(2). */
	const int words[] = { 2, 1, 262 };
	int answer = ask(102, 1, words);

	for (;;)
		ask(1, answer < 0 ? -answer : 0, words);
}
