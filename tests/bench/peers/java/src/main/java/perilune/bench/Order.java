// SPDX-License-Identifier: MIT
package perilune.bench;

import java.util.List;

/** The value of an event. */
record Order(
        int id,
        String customer,
        String product,
        int quantity,
        double price,
        boolean paid,
        List<String> tags,
        Address address) {
    record Address(String street, String city, String country) {}

    private static final List<String> TAGS = List.of("new", "online");
    private static final Address ADDRESS = new Address("Nowhere Street 17", "Springfield", "US");

    static Order of(int number) {
        var customer = String.format("customer-%04d", number % 1000);
        return new Order(number, customer, "Product number " + number % 100, number % 7, 19.5, true, TAGS, ADDRESS);
    }

    Order oneMore() {
        return new Order(id, customer, product, quantity + 1, price, paid, tags, address);
    }
}
