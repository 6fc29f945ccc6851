/* The console: a PL011 at its "virt" address, polled. Its interrupt (SPI 33) belongs to the level-spi scenario. */
#pragma once

#include "arch.h"

#define UART 0x09000000ul
#define UARTDR (UART + 0x00)
#define UARTFR (UART + 0x18)
#define UARTIMSC (UART + 0x38)
#define UARTRIS (UART + 0x3c)
#define UARTMIS (UART + 0x40)
#define UARTICR (UART + 0x44)
#define UART_TX 0x20u       /* the transmit bit of IMSC, RIS, MIS and ICR */
#define UART_SPI 33u

void put_char(char c);

/* %u and %x take unsigned, %s a string, %c a character. */
void say(const char *format, ...);

/* As `say`, into the one buffer of the reason why a scenario failed; returns it. */
const char *fail(const char *format, ...);
